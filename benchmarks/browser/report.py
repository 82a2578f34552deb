"""docs/bench-browser.json and its table."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.engine.write import marked, measured_on, table


@dataclass(frozen=True, slots=True)
class Spread:
    """Measured values of one way."""

    median: float
    p95: float | None = None
    """None for what was measured once."""
    runs: int = 1

    @staticmethod
    def over(values: Iterable[float]) -> "Spread":
        """Median, and what 95 % of some values do not exceed (nearest rank)."""
        ordered = sorted(values)
        if not ordered:
            raise SystemExit("Nothing was measured: the page made no answer.")
        place = min(len(ordered) - 1, int(0.95 * len(ordered)))
        return Spread(statistics.median(ordered), ordered[place], len(ordered))


@dataclass(frozen=True, slots=True)
class Row:
    """One figure by both ways, and the limits of the tab's."""

    name: str
    unit: str
    tab: Spread
    server: Spread | None = None
    most: float | None = None
    most_p95: float | None = None
    least: float | None = None
    """A lower limit, in place of an upper one."""

    @property
    def met(self) -> bool:
        """Whether the tab keeps all limits."""
        pairs = ((self.tab.median, self.most), (self.tab.p95, self.most_p95))
        within = all(x <= most for x, most in pairs if x is not None and most is not None)
        return within and (self.least is None or self.tab.median >= self.least)

    @property
    def limit(self) -> str:
        """As text."""
        if self.least is not None:
            return f"≥ {self.least:,.0f}"
        return " / ".join(f"{x:.3g}" for x in (self.most, self.most_p95) if x is not None) or "–"

    def cell(self, spread: Spread | None) -> str:
        """Median and 95 % with their unit."""
        if spread is None:
            return "–"
        shown = [spread.median]
        if spread.p95 is not None and (self.most_p95 is not None or self.most is None):
            shown.append(spread.p95)
        return f"{' / '.join(map(_short, shown))} {self.unit}".rstrip()


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004


def read_row(kept: dict[str, Any]) -> Row:
    """A row out of JSON."""
    both = {way: kept[way] and Spread(**kept[way]) for way in ("tab", "server")}
    return Row(**kept | both)


def text(results: dict[str, Any]) -> str:
    """A row for each figure; ✗ marks a miss of the tab."""
    rows = map(read_row, results["rows"])
    head = ("figure, median / 95 %", "in the tab", "by the server", "at most")
    cells = (
        (row.name, marked(row.met, row.cell(row.tab)), row.cell(row.server), row.limit)
        for row in rows
    )
    return table(head, cells) + measured_on(results)
