"""The map of the overview: DPPA minus a rival, over sets of models and rates."""

from __future__ import annotations

from collections.abc import Sequence

from dppa_core.charts.plots import NOTHING_TOLD, Axis, Heatmap
from dppa_core.charts.tables import hundredths
from dppa_lab.experiments.overview_merges import AS_PRUNED, NAMES, SIMPLEST, TOO_LOW, RatedMerge
from dppa_lab.experiments.steps import texts

MARKS = {"wins": "▲", "loses": "▼", "ties": "=", "undecided": "?", TOO_LOW: NOTHING_TOLD}
HARMED = "△"
"""DPPA wins, but not against the rival without the settings that a search chose."""


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
        tuple(tuple(_points(row, rival) for row in line) for line in cells),
        0.0,
        tuple(tuple(_mark(row, rival) if row else "" for row in line) for line in cells),
        tuple(tuple(place_of.get((name, rate)) for rate in rates) for name in names),
        texts()["overview"]["legend"] if rival == SIMPLEST else "",
    )


def _points(row: RatedMerge | None, rival: str) -> float | None:
    """DPPA minus the rival in points, to a tenth."""
    return round(hundredths(row.minus[rival].value), 1) if row else None


def _mark(row: RatedMerge, rival: str) -> str:
    """The mark of the winner; of few seeds, only a mark if both keep too little."""
    if not row.outcomes:
        return MARKS[TOO_LOW] if rival in row.too_low else ""
    outcome = row.outcomes[rival]
    if outcome == "wins" and rival == SIMPLEST and row.outcomes.get(AS_PRUNED, "wins") != "wins":
        # The search of magnitude's settings did harm if it keeps more as pruned.
        return HARMED if row.kept.get(AS_PRUNED, 0.0) > row.kept[SIMPLEST] else MARKS[outcome]
    return MARKS[outcome]


def _row_name(row: RatedMerge) -> str:
    return f"{row.domain} alone, {row.size:.2f}" if row.domain else row.set
