"""docs/bench-ui.json and its table."""

from dataclasses import dataclass
from typing import Any

from benchmarks.engine.write import marked, measured_on, table


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


def with_figures(results: dict[str, Any], new: list[dict[str, Any]], load: float) -> dict[str, Any]:
    """A result in which new figures take the places of those with their names.

    Args:
        load: Of the machine, when they were measured.
    """
    names = {figure["name"] for figure in new}
    kept = [figure for figure in results["figures"] if figure["name"] not in names]
    return results | {"figures": new + kept, "load_of_first": [len(new), round(load, 1)]}


def text(results: dict[str, Any]) -> str:
    """Every figure that has a target, the median's or that of 95 % of the runs."""
    rows = []
    for figure in (Figure(**values) for values in results["figures"]):
        pairs = ((figure.median, figure.most, ""), (figure.p95, figure.p95_most, "95 %: "))
        both = [
            (value, most, prefix) for value, most, prefix in pairs if value is not None and most
        ]
        if both:
            measured, allowed = (
                ", ".join(f"{prefix}{pair[place]:.3g}" for *pair, prefix in both)
                for place in (0, 1)
            )
            cell = marked(figure.met, f"{measured} {figure.unit}")
            rows.append((figure.name, cell, allowed))
    return table(("figure", "median", "at most"), rows) + measured_on(results)
