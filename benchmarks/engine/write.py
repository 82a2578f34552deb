"""Writes docs/bench-engine.json as text into docs/benchmarks.md.

`python -m benchmarks.engine.write` does so without measuring.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.engine.journal import ROOT
from benchmarks.engine.report import docs_text

START, END = "<!-- engine:start -->", "<!-- engine:end -->"
RESULT = Path("docs") / "bench-engine.json"


def filled(text: str, part: str, start: str = START, end: str = END) -> str:
    """`text` with what stands between the markers replaced by `part`.

    Raises:
        ValueError: it does not hold both markers, each once.
    """
    if text.count(start) != 1 or text.count(end) != 1:
        raise ValueError(f"{start} and {end} must be there, each once.")
    before, rest = text.split(start)
    return f"{before}{start}\n{part.strip()}\n{end}{rest.split(end)[1]}"


def texts(root: Path, found: dict[str, Any]) -> dict[Path, str]:
    """File -> its new content."""
    rounds: Callable[[str], list[Any]] = found["rounds_of"].__getitem__
    page = root / "docs" / "benchmarks.md"
    return {page: filled(page.read_text("utf-8"), docs_text(rounds, found))}


def write(root: Path, found: dict[str, Any]) -> None:
    """Save a result; write its text into docs/."""
    (root / RESULT).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for path, text in texts(root, found).items():
        path.write_text(text, "utf-8")


def main() -> None:
    """Write the text of the saved result."""
    write(ROOT, json.loads((ROOT / RESULT).read_text("utf-8")))


if __name__ == "__main__":
    main()
