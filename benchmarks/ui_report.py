"""Writes docs/bench-ui.json as text into docs/benchmarks.md.

`python -m benchmarks.ui_report` does so without measuring.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.engine.journal import ROOT
from benchmarks.engine.write import filled

START, END = "<!-- ui:start -->", "<!-- ui:end -->"
RESULT = Path("docs") / "bench-ui.json"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure, and its upper limit."""

    name: str
    unit: str
    median: float
    most: float | None = None
    """For the median, or for a single value."""
    p95: float | None = None
    p95_most: float | None = None
    runs: int = 1

    @property
    def met(self) -> bool:
        """Whether all are met."""
        pairs = ((self.median, self.most), (self.p95, self.p95_most))
        return all(value <= most for value, most in pairs if value is not None and most is not None)


def with_figures(found: dict[str, Any], new: list[dict[str, Any]], load: float) -> dict[str, Any]:
    """A result in which new figures take the places of those with their names.

    Args:
        load: Of the machine, when they were measured.
    """
    names = {figure["name"] for figure in new}
    kept = [figure for figure in found["figures"] if figure["name"] not in names]
    return found | {"figures": new + kept, "load_of_first": [len(new), round(load, 1)]}


def text(found: dict[str, Any]) -> str:
    """A line on the machine, and a table."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    rows = [
        "| figure | median | at most | 95 % of runs below | at most | runs |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for values in found["figures"]:
        figure = Figure(**values)
        cells = [
            _shown(figure.median, figure.unit),
            _shown(figure.most, figure.unit),
            _shown(figure.p95, figure.unit),
            _shown(figure.p95_most, figure.unit),
            str(figure.runs),
        ]
        mark = "" if figure.met else " ✗"
        rows.append(f"| {figure.name}{mark} | {' | '.join(cells)} |")
    count, load = found.get("load_of_first", (0, 0))
    later = f" The first {count} figures were measured later, at a load of {load}." if count else ""
    return "\n".join([f"{found['machine']}; {versions}.{later}", "", *rows])


def _shown(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.3g} {unit}"


def texts(root: Path, found: dict[str, Any]) -> dict[Path, str]:
    """File -> its new content."""
    page = root / "docs" / "benchmarks.md"
    return {page: filled(page.read_text("utf-8"), text(found), START, END)}


def write(root: Path, found: dict[str, Any]) -> None:
    """Save a result; write its text into docs/."""
    (root / RESULT).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for path, content in texts(root, found).items():
        path.write_text(content, "utf-8")


def main() -> None:
    """Write the text of the saved result."""
    write(ROOT, json.loads((ROOT / RESULT).read_text("utf-8")))


if __name__ == "__main__":
    main()
