"""The overview before the experiments: where DPPA wins, ties and loses, over size, rate and set.

Made of lab/data/results.json and lab/data/study; asks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dppa_core.charts.report import Axis, Chart, Experiment, Findings
from dppa_core.evaluation.tables import Cell, Column, Row, Table
from dppa_lab.experiments.overview_map import difference_map
from dppa_lab.experiments.rated_merges import (
    AS_PRUNED,
    NAMES,
    SIMPLEST,
    WHOLE,
    RatedMerge,
    of_results,
    of_studies,
)
from dppa_lab.experiments.score_table import points
from dppa_lab.zoo.study.compare import (
    EQUAL,
    LEAST_SEEDS,
)
from dppa_lab.zoo.study.confirmation import without_new

KEY = "overview"
MERGED = (SIMPLEST, WHOLE)
"""Rivals of a merge of several."""


def overview(results: Mapping[str, Any], studies: Sequence[Mapping[str, Any]]) -> Experiment:
    """The overview from lab/data/results.json and the sets in lab/data/study."""
    first, _ = without_new(studies)
    merged, alone = of_results(results)
    several = [*merged, *of_studies(first)]
    tables = (
        _table("Math, finance and law in one model", several, [Column("models")]),
        _table("One model alone", alone, [Column("domain"), Column("‖d‖ / ‖W‖")]),
    )
    maps = difference_map((several, alone), SIMPLEST), difference_map((several,), WHOLE)
    return Experiment(
        KEY,
        "0",
        "When does DPPA win, tie and lose?",
        "Does DPPA keep more than magnitude pruning, and more than adding whole deltas?",
        _measured(results, sum(len(row.minus) for row in (*merged, *alone))),
        Findings(tables, (*maps, _by_rate(merged))),
        made="make -C lab results",
    )


def _measured(results: Mapping[str, Any], differences: int) -> str:
    """How the merges were measured and compared."""
    items = sum(score["n"] for score in results["models"]["base"].values())
    return (
        "Every method's factors, coefficient and strength were chosen together on "
        f"{results['search_items']} search items a domain, with one budget for all, and scored on "
        f"all {items:,} test items. *As pruned*: nothing was chosen; factors and coefficients are "
        "1, DP has the paper's strength. Retention is accuracy divided by the domain model's own, "
        "the arithmetic mean of the domains. A rate counts the entries of the modules; embeddings "
        "and norms stay whole. DPPA wins or loses where the difference is beyond chance: p-values "
        f"below 0.05, corrected for all {differences} differences of the embedded models (Holm). "
        f"It ties where the interval lies within ±{100 * EQUAL:g} points, and is undecided "
        "otherwise. Outcomes stand in the order of the differences: against task arithmetic, then "
        "against magnitude. Intervals of the embedded models cover the items, not the training: "
        "they were trained with one seed. Other sets (`make -C lab study`) count all entries, "
        f"embeddings too. With {LEAST_SEEDS} seeds or more they have intervals over seeds and "
        "outcomes corrected for the five comparisons of a rate "
        "([study plan](study-plan.md)); with fewer they have none. The sets of the "
        "confirmation are in no table here."
    )


def _table(title: str, rows: Sequence[RatedMerge], first: Sequence[Column]) -> Table:
    several = rows[0].size is None
    rivals = [*reversed(MERGED)] if several else [AS_PRUNED, SIMPLEST]
    methods = [name for name in NAMES if name in rows[0].kept and name != "dp"]  # room on the page
    columns = (
        *first,
        Column("pruned", "%"),
        Column("outcomes"),
        *(Column(f"minus {NAMES[name]}", "points") for name in rivals),
        *(Column(NAMES[name], "%") for name in methods),
    )
    return Table(title, columns, tuple(_cells(row, methods, rivals) for row in rows))


def _cells(row: RatedMerge, methods: Sequence[str], rivals: Sequence[str]) -> Row:
    first = [Cell(row.domain), Cell(row.size)] if row.domain else [Cell(row.set)]
    kept = (row.kept.get(name) for name in methods)
    gaps = (row.minus.get(name) for name in rivals)
    outcomes = ", ".join(row.outcomes[name] for name in rivals if row.outcomes)
    cells = (
        *first,
        Cell(100 * row.rate),
        Cell(outcomes or "few seeds: no claim"),
        *(Cell(None) if gap is None else points(gap) for gap in gaps),
        *(Cell(None if share is None else 100 * share) for share in kept),
    )
    return Row(cells, row.recipe)


def _by_rate(rows: Sequence[RatedMerge]) -> Chart:
    """Retention of the merge of all three over the rate."""
    kept = {NAMES[name]: [Cell(100 * row.kept[name]) for row in rows] for name in NAMES}
    axes = Axis("pruned", "%"), Axis("retention, mean of the domains", "%")
    rates = [100 * row.rate for row in rows]
    return Chart.of("lines", "The three embedded models in one", axes, rates, kept)
