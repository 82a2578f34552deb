"""Run the tests: those without a browser on all cores, then those with one, two at a time.

A browser test mostly waits for its page: two of them, each with an app and a browser of its own,
keep two cores busy. More, or other work beside them, would be seen by what they measure. Of a
browser test with several widths or themes one case is run, another one for each test; all of them
with DPPA_CASES=all. Arguments are passed on to pytest, twice.
"""

import os
import subprocess
import sys

import pytest

PYTEST = [sys.executable, "-m", "pytest", "--durations=25", "--durations-min=3"]
NONE = int(pytest.ExitCode.NO_TESTS_COLLECTED)


def main(arguments: list[str]) -> int:
    """Both halves, and the worse of their exit codes; one half may be empty."""
    halves = [
        ["-m", "not browser", "-n", "logical", "--dist", "worksteal"],
        ["-m", "browser", "-n", "2", "--dist", "worksteal"],
    ]
    os.environ.setdefault("DPPA_CASES", "one")  # read by tests/e2e/conftest.py
    codes = [
        subprocess.run([*PYTEST, *half, *arguments], check=False).returncode for half in halves
    ]
    ran = [code for code in codes if code != NONE]
    return max(ran, key=abs, default=NONE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
