"""The map of the overview: DPPA minus a rival, over sets of models and rates."""

from __future__ import annotations

from collections.abc import Sequence

from dppa_core.charts.report import NOTHING_TOLD, Axis, Heatmap
from dppa_core.evaluation.tables import hundredths
from dppa_core.tasks.intervals import Interval
from dppa_lab.experiments.rated_merges import (
    AS_PRUNED,
    NAMES,
    SIMPLEST,
    TOO_LOW,
    RatedMerge,
)

MARKS = {"wins": "▲", "loses": "▼", "ties": "=", "undecided": "?", TOO_LOW: NOTHING_TOLD}
HARMED = "△"
"""DPPA wins, but not against the rival without the settings that a search chose."""
LEGEND = (
    "▲ DPPA wins, △ wins against searched magnitude, not against magnitude as pruned, which keeps "
    "more, ▼ loses, = ties (within 2 points), ? undecided, × both keep less than one model that "
    "is not merged, so nothing is told; without a mark: too few seeds. Many comparisons are made, "
    "so an interval without 0 is not enough to win (Holm). Marks of the embedded models hold for "
    "their one training, those of other sets over seeds. *Settled*: trained inside merges, "
    "*plain*: each model alone, *between*: alone, with replay, *large deltas*: alone, three times "
    "as long at twice the rate, *full* and *lora*: alone, all weights or adapters; *small*: 0.6 M "
    "parameters, *medium*: 1.3 M, *embedded*: 4.2 M, *smollm2*: 135 M. A number behind *alone* is "
    "the delta's size, ‖d‖ / ‖W‖. Rates of embedded models count the entries of the modules, "
    "those of other sets all entries."
)


def difference_map(tables: Sequence[Sequence[RatedMerge]], rival: str) -> Heatmap:
    """DPPA minus a rival, in points: models down, rates across; a mark says who wins. The rows of
    the tables lie in their order."""
    rates = sorted({row.rate for rows in tables for row in rows})
    rows_and_places = [(row, (k, i)) for k, rows in enumerate(tables) for i, row in enumerate(rows)]
    compared = [(row, place) for row, place in rows_and_places if rival in row.minus]
    row_of = {(_row_name(row), row.rate): row for row, _ in compared}
    place_of = {(_row_name(row), row.rate): place for row, place in compared}
    names = tuple(dict.fromkeys(name for name, _ in row_of))
    cells = [[row_of.get((name, rate)) for rate in rates] for name in names]
    return Heatmap(
        f"DPPA minus {NAMES[rival]}",
        Axis("pruned"),
        Axis("models"),
        Axis(f"DPPA minus {NAMES[rival]}", "points"),
        tuple(f"{100 * rate:g} %" for rate in rates),
        names,
        tuple(tuple(_points(row.minus[rival]) if row else None for row in line) for line in cells),
        0.0,
        tuple(tuple(_mark(row, rival) if row else "" for row in line) for line in cells),
        tuple(tuple(place_of.get((name, rate)) for rate in rates) for name in names),
        LEGEND if rival == SIMPLEST else "",
    )


def _mark(row: RatedMerge, rival: str) -> str:
    """Who wins; of few seeds, only whether both keep too little."""
    if row.outcomes:
        won = row.outcomes[rival] == "wins"
        return HARMED if won and rival == SIMPLEST and _harmed(row) else MARKS[row.outcomes[rival]]
    return MARKS[TOO_LOW] if rival in row.too_low else ""


def _harmed(row: RatedMerge) -> bool:
    """Whether magnitude keeps more as pruned than searched, and DPPA does not win against that."""
    before = row.kept.get(AS_PRUNED)
    against = row.outcomes.get(AS_PRUNED, "wins")
    return before is not None and before > row.kept[SIMPLEST] and against != "wins"


def _points(difference: Interval) -> float:
    """A difference in points, to a tenth."""
    return round(hundredths(difference.value), 1)


def _row_name(row: RatedMerge) -> str:
    return f"{row.domain} alone, {row.size:.2f}" if row.domain else row.set.replace(", ", " ")
