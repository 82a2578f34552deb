"""docs/fuzz.json and its table."""

from typing import Any

from benchmarks.engine.journal import ROOT
from benchmarks.engine.write import keep, measured_on, table

RESULT = ROOT / "docs" / "fuzz.json"


def text(results: dict[str, Any]) -> str:
    """A row for each target, and the machine."""
    rows = (
        (
            run["what"],
            f"{run['inputs']:,}",
            len(run["findings"]),
            f"{1000 * run['slowest']:.0f}",
        )
        for run in results["targets"].values()
    )
    head = ("what is read", "inputs", "findings", "slowest, ms")
    return table(head, rows) + measured_on(results)


def write(results: dict[str, Any]) -> None:
    """Save a result, and write its table."""
    keep("fuzz", results, text(results), "reliability")
