"""The overview before the experiments: where DPPA wins, ties and loses, over size, rate and set.

Made of lab/data/results.json and lab/data/study; asks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dppa_core.charts.plots import Axis, Chart
from dppa_core.charts.report import Experiment, Findings
from dppa_core.charts.tables import Cell, Row, Table
from dppa_lab.experiments.overview_map import difference_map
from dppa_lab.experiments.overview_merges import (
    AS_PRUNED,
    NAMES,
    SIMPLEST,
    WHOLE,
    RatedMerge,
    of_results,
    of_studies,
)
from dppa_lab.experiments.score_table import points, row, table
from dppa_lab.experiments.steps import texts
from dppa_lab.zoo.study.study_sets import without_new

KEY = "overview"
MERGED = (SIMPLEST, WHOLE)
"""Rivals of a merge of several."""


def overview(results: Mapping[str, Any], studies: Sequence[Mapping[str, Any]]) -> Experiment:
    """The overview from lab/data/results.json and the sets in lab/data/study."""
    first, _ = without_new(studies)
    merged, alone = of_results(results)
    several = [*merged, *of_studies(first)]
    tables = (
        _table("Math, finance and law in one model", several, ["models"]),
        _table("One model alone", alone, ["domain", "‖d‖ / ‖W‖"]),
    )
    maps = difference_map((several, alone), SIMPLEST), difference_map((several,), WHOLE)
    written = texts()[KEY]
    measured = written["measured"].format(
        search=results["search_items"],
        items=sum(score["n"] for score in results["models"]["base"].values()),
        differences=sum(len(row.minus) for row in (*merged, *alone)),
    )
    return Experiment(
        KEY,
        written["number"],
        written["title"],
        written["question"],
        measured,
        Findings(tables, (*maps, _by_rate(merged))),
        made="make -C lab results",
    )


def _table(title: str, merges: Sequence[RatedMerge], first: Sequence[str]) -> Table:
    several = merges[0].size is None
    rivals = [*reversed(MERGED)] if several else [AS_PRUNED, SIMPLEST]
    methods = [name for name in NAMES if name in merges[0].kept and name != "dp"]  # room on a page
    columns = (
        *(*first, "pruned|%", "outcomes"),
        *(f"minus {NAMES[name]}|points" for name in rivals),
        *(f"{NAMES[name]}|%" for name in methods),
    )
    return table(title, columns, (_row(merge, methods, rivals) for merge in merges))


def _row(merge: RatedMerge, methods: Sequence[str], rivals: Sequence[str]) -> Row:
    kept = (merge.kept.get(name) for name in methods)
    gaps = (merge.minus.get(name) for name in rivals)
    outcomes = ", ".join(merge.outcomes[name] for name in rivals if merge.outcomes)
    return row(
        *([merge.domain, merge.size] if merge.domain else [merge.set]),
        *(100 * merge.rate, outcomes or "few seeds: no claim"),
        *(None if gap is None else points(gap) for gap in gaps),
        *(None if share is None else 100 * share for share in kept),
        recipe=merge.recipe,
    )


def _by_rate(rows: Sequence[RatedMerge]) -> Chart:
    """Retention of the merge of all three over the rate."""
    kept = {NAMES[name]: [Cell(100 * row.kept[name]) for row in rows] for name in NAMES}
    axes = Axis("pruned", "%"), Axis("retention, mean of the domains", "%")
    rates = [100 * row.rate for row in rows]
    return Chart.of("lines", "The three embedded models in one", axes, rates, kept)
