"""A merge killed at any moment leaves the old target, the new one or none; the next cleans up.

A short version of `python -m tests.faults.kills`.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_killed_merge_leaves_nothing_half_written() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "tests.faults.kills", "--count", "4", "--stride", "9"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    match = re.match(r"4 merges .* half-written 0; .* none. (\d+) killed", process.stdout)
    assert match and int(match[1]) > 4, process.stdout
