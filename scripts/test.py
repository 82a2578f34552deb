"""Run the tests: those without a browser on all cores, then those with one by themselves.

Browser tests measure what a person sees; beside other work on the same cores they would see that
work. Arguments are passed on to pytest, twice.
"""

import subprocess
import sys

import pytest

NONE = int(pytest.ExitCode.NO_TESTS_COLLECTED)


def main(arguments: list[str]) -> int:
    """Both halves, and the worse of their exit codes; one half may be empty."""
    halves = [["-m", "not browser", "-n", "logical", "--dist", "worksteal"], ["-m", "browser"]]
    codes = [
        subprocess.run([sys.executable, "-m", "pytest", *half, *arguments], check=False).returncode
        for half in halves
    ]
    ran = [code for code in codes if code != NONE]
    return max(ran, key=abs, default=NONE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
