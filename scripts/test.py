"""Run the tests: those without a browser on all cores, then browser tests two at a time.

A browser test mostly waits for its page: two of them, each with its own app and browser, keep two
cores busy. The other disturbs its timings, so a failed one is run once more alone, and both
outcomes are printed. Of a browser test with several widths or themes one case is run, a different
one for each test, and of other tests some; DPPA_CASES=all runs all. Arguments are passed on to both
runs of pytest.
"""

import os
import subprocess
import sys

import pytest

PYTEST = [sys.executable, "-m", "pytest", "--durations=25", "--durations-min=3", "--assert=plain"]
# To rewrite every assertion takes each worker ten seconds: only what failed is told in full.
FULL = ["--last-failed", "--assert=rewrite", "-rA", "--maxfail=10"]
WORKERS = (os.cpu_count() or 1) + 1  # some wait for a disk, or for a process they have started
# Every worker imports its files, which takes seconds: each half gets only its own.
PLAIN = ["--ignore=tests/e2e", "-n", str(WORKERS), "--dist", "worksteal"]
BROWSER = ["-m", "browser", "--ignore-glob=tests/[!e]*", "-n", "2", "--dist", "worksteal"]


def run(half: list[str], arguments: list[str]) -> int:
    """The exit code of a part of the tests."""
    return subprocess.run([*PYTEST, *half, *arguments], check=False).returncode


def main(arguments: list[str]) -> int:
    """Run both halves; return the worse exit code. One half may be empty."""
    os.environ.setdefault("DPPA_CASES", "one")  # read by tests/helpers/cases.py
    codes = []
    for half, alone in ((PLAIN, PLAIN[:1]), (BROWSER, BROWSER[:3])):
        codes.append(run(half, arguments))
        if codes[-1] == pytest.ExitCode.TESTS_FAILED:
            sys.stderr.write(
                "\nOnce more what failed, one at a time and told in full. Passing now counts for "
                "tests with a browser alone.\n"
            )
            again = run([*alone, *FULL], arguments)
            codes[-1] = again if half is BROWSER else codes[-1]
    none = int(pytest.ExitCode.NO_TESTS_COLLECTED)
    ran = [code for code in codes if code != none]
    return max(ran, key=abs, default=none)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
