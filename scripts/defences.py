"""Removes each defence in turn, in a copy: the test that covers it, and passes with it, must fail.

`make defences` runs `python -m scripts.defences [--write] [WORD …]`: part of a title. The defences
are listed in defences.toml. If a line no longer exists, the run ends with its title.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.engine.journal import ROOT
from benchmarks.engine.write import keep, table

RESULT = ROOT / "docs" / "defences.json"
_LONGEST = 150.0
"""Seconds; what takes longer without its defence does not come to an end, which is a failure."""
_FAILED = (1, 3)
"""Exit codes of pytest; the second one where a test has replaced what pytest itself uses."""


@dataclass(frozen=True, slots=True)
class Defence:
    """A line that prevents something."""

    title: str
    file: str
    text: str
    """Occurs once."""
    instead: str
    test: str


def defences() -> tuple[Defence, ...]:
    """All of defences.toml."""
    listed = tomllib.loads((ROOT / "scripts" / "defences.toml").read_text("utf-8"))
    return tuple(Defence(**values) for values in listed["defence"])


def fails_without(defence: Defence, copy: Path) -> bool:
    """Whether its test fails in a copy of the project without it."""
    path = copy / defence.file
    whole = path.read_text("utf-8")
    if whole.count(defence.text) != 1:
        raise SystemExit(f"{defence.title}: {defence.file} does not hold its line once.")
    if fails(defence.test, copy):
        raise SystemExit(f"{defence.title}: {defence.test} fails with it, too: nothing was shown.")
    path.write_text(whole.replace(defence.text, defence.instead), "utf-8")
    try:
        return _failed(defence.test, copy)
    finally:
        path.write_text(whole, "utf-8")


@cache
def fails(test: str, copy: Path) -> bool:
    """Return True if a test fails in a copy with all defences."""
    return _failed(test, copy)


def _failed(test: str, copy: Path) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test]
    running = subprocess.Popen(
        command, cwd=copy, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        output = running.communicate(timeout=_LONGEST)[0]
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        return True
    if running.returncode not in (0, *_FAILED):  # no such test: nothing was shown
        raise SystemExit(f"{test}: {output.decode(errors='replace')[-800:]}")
    return running.returncode in _FAILED


def text(noticed: dict[str, bool]) -> str:
    """How many defences a test misses when they are gone, and the names of the others."""
    unnoticed = [title for title, failed in noticed.items() if not failed]
    cells = len(noticed), len(noticed) - len(unnoticed), ", ".join(unnoticed) or "–"
    return table(("taken away", "a test failed", "none failed"), [cells])


def main() -> int:
    """The exit code: 1 if no test notices that a defence is gone."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*")
    parser.add_argument(
        "--write", action="store_true", help="into docs/defences.json and its table"
    )
    options = parser.parse_args()
    listed = defences()
    matching = [d for d in listed if not options.words or any(w in d.title for w in options.words)]
    noticed = json.loads(RESULT.read_text("utf-8")) if options.words and RESULT.exists() else {}
    with tempfile.TemporaryDirectory(prefix="dppa-defences-") as folder:
        copy = Path(folder) / "copy"
        unwanted = shutil.ignore_patterns(".git", ".venv*", "out", "pictures", "__pycache__")
        shutil.copytree(ROOT, copy, ignore=unwanted)
        for defence in matching:
            noticed[defence.title] = fails_without(defence, copy)
            sys.stdout.write(f"{'ok ' if noticed[defence.title] else 'BAD'} {defence.title}\n")
            sys.stdout.flush()
    if options.write:
        kept = {d.title: noticed[d.title] for d in listed if d.title in noticed}
        keep("defences", kept, text(kept), "reliability")
    return 0 if all(noticed.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
