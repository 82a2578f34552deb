"""Figures of measured results in hand-written pages: rewrite each one from the data it rests on.

`make leaderboard`, `make results`, `make study` and `make experiments` run it. A sentence whose
words no longer hold (a rank, "more", "less") is not rewritten: then
tests/app/page/test_stated_results.py fails.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, from wherever

from lab.scripts.measured_results import ROOT, Results, text_of  # noqa: E402
from lab.scripts.stated_sentences import README, STATED  # noqa: E402


def with_table(text: str, results: Results) -> str:
    """The README with the first rows of the leaderboard."""
    rows = re.compile(r"(?<=\n\| --- \| --- \| --- \| --- \| --- \| --- \|\n)(\|.*\n)+")
    if len(rows.findall(text)) != 1:
        raise LookupError(f"{README} has no table of six columns, or several")
    return rows.sub(lambda _: f"{results.table()}\n", text)


def rewritten(path: str, results: Results) -> str:
    """A page with all of its figures as they were measured."""
    text = text_of(path)
    for one in STATED:
        if one.path == path:
            text = one.rewritten(text, results)
    return with_table(text, results) if path == README else text


def main() -> None:
    """Rewrite all pages; print the names of those that changed."""
    results = Results()
    for path in sorted({one.path for one in STATED}):
        text = rewritten(path, results)
        if text != text_of(path):
            (ROOT / path).write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
