"""What a measurement leaves in docs/: all of it as JSON, and one table between two marks of a page.

`python -m scripts.figures` (scripts/figures.py) writes the tables again without measuring.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine.journal import ROOT


def filled(text: str, part: str, name: str) -> str:
    """`text` with what stands between the marks of `name` replaced by `part`.

    Raises:
        ValueError: it does not hold both marks, each once.
    """
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    if text.count(start) != 1 or text.count(end) != 1:
        raise ValueError(f"{start} and {end} must be there, each once.")
    before, rest = text.split(start)
    return f"{before}{start}\n{part.strip()}\n{end}{rest.split(end)[1]}"


def keep(name: str, results: Any, text: str, page: str, root: Path = ROOT) -> None:
    """Save a result as docs/`name`.json, and its table in docs/`page`.md."""
    kept = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    (root / "docs" / f"{name}.json").write_text(kept, "utf-8")
    path = root / "docs" / f"{page}.md"
    path.write_text(filled(path.read_text("utf-8"), text, name.removeprefix("bench-")), "utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def marked(met: bool, cell: str) -> str:
    """A cell, with ✗ before one that misses its target."""
    return cell if met else f"✗ {cell}"


def measured_on(results: Mapping[str, Any]) -> str:
    """Processor and cores, in a line below a table; all else is in the JSON."""
    return f"\n\n{', '.join(results['machine'].split(', ')[:2])}."
