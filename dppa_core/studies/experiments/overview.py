"""The overview before the experiments: where DPPA wins, ties and loses, over size, rate and set.

Made from what `make results` and `make study` measured; asks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dppa_core.evaluation.tables import Cell, Column, Row, Table, listed, settings_text
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.studies.experiments.rated_merges import (
    AS_PRUNED,
    NAMES,
    OUTCOMES,
    PRUNED,
    SIMPLEST,
    WHOLE,
    RatedMerge,
    of_results,
    of_studies,
)
from dppa_core.studies.experiments.score_table import points, pruned
from dppa_core.studies.experiments.values import Axis, Chart, Experiment, Findings, Series
from dppa_core.studies.zoo.study.compare import EQUAL, LEAST_SEEDS
from dppa_core.tasks.intervals import Interval

KEY = "overview"
WORDS = {
    "wins": "wins against {}",
    "loses": "loses against {}",
    "ties": "ties with {}",
    "undecided": "is undecided against {}",
}


def overview(results: Mapping[str, Any], studies: Sequence[Mapping[str, Any]]) -> Experiment:
    """The overview from docs/results.json and the sets in docs/study."""
    merged, alone = of_results(results)
    others = of_studies(studies)
    tables = (
        _table("Math, finance and law in one model", [*merged, *others], [Column("models")]),
        _table("One model alone", alone, [Column("domain"), Column("‖d‖ / ‖W‖")]),
    )
    plots = _by_rate(merged), _by_size(alone)
    found = Findings(tables, plots, _finding(merged, alone, others), (), _short(merged, others))
    differences = sum(len(row.minus) for row in (*merged, *alone))
    asked = sum(one["n"] for one in results["models"]["base"].values())
    return Experiment(
        KEY,
        "0",
        "When does DPPA win, tie and lose?",
        "Does DPPA keep more than magnitude pruning, and more than adding whole deltas?",
        f"Every method's factors, coefficient and strength were chosen together on "
        f"{results['search_items']} search items a domain, with one budget for all, and scored on "
        f"all {asked:,} test items (`make results`). *As pruned*: nothing was chosen; factors and "
        "coefficients are 1, DP has the paper's strength. Retention is accuracy divided by the "
        "domain model's own, the arithmetic mean of the domains. A rate counts the entries of the "
        "modules; embeddings and norms stay whole. DPPA wins or loses where the difference is "
        f"beyond chance: p-values below 0.05, corrected for all {differences} differences of the "
        "embedded models (Holm). It ties where the interval lies within "
        f"±{100 * EQUAL:g} points, and is undecided otherwise. Outcomes stand in the order of the "
        "differences. Intervals of the embedded models cover the items, not the training: they "
        "were trained with one seed. Other sets (`make study`, with their own numbers of items) "
        f"count all entries, embeddings too. With {LEAST_SEEDS} seeds or more they have intervals "
        "over seeds, the wider of Student's and a bootstrap over seeds and items, and outcomes "
        "corrected for the five comparisons of a rate ([study plan](study-plan.md)); with fewer "
        "they have none. Settings of SmolLM2 were found before the search fitted logarithms (the "
        "plan's last section).",
        found,
        made="make results",
    )


def _table(title: str, rows: Sequence[RatedMerge], first: Sequence[Column]) -> Table:
    several = rows[0].size is None
    rivals = [WHOLE, SIMPLEST] if several else [AS_PRUNED, SIMPLEST]
    shown = [name for name in NAMES if name in rows[0].kept and name != "dp"]  # room on the page
    columns = (
        *first,
        Column("pruned", "%"),
        *(Column(NAMES[name], "%") for name in shown),
        *(Column(f"minus {NAMES[name]}", "points") for name in rivals),
        Column("outcomes"),
    )
    return Table(title, columns, tuple(_cells(row, shown, rivals) for row in rows))


def _cells(row: RatedMerge, shown: Sequence[str], rivals: Sequence[str]) -> Row:
    first = [Cell(row.domain), Cell(row.size)] if row.domain else [Cell(row.set)]
    kept = (row.kept.get(name) for name in shown)
    gaps = (row.minus.get(name) for name in rivals)
    told = ", ".join(row.outcomes[name] for name in rivals if row.outcomes)
    cells = (
        *first,
        Cell(100 * row.rate),
        *(Cell(None if one is None else 100 * one) for one in kept),
        *(Cell(None) if one is None else points(one) for one in gaps),
        Cell(told or "few seeds: no claim"),
    )
    return Row(cells, row.recipe)


def _by_rate(rows: Sequence[RatedMerge]) -> Chart:
    """Retention of the merge of all three over the rate."""
    kept = {NAMES[name]: [Cell(100 * row.kept[name]) for row in rows] for name in NAMES}
    axes = Axis("pruned", "%"), Axis("retention, mean of the domains", "%")
    rates = [100 * row.rate for row in rows]
    return Chart.of("lines", "The three embedded models in one", axes, rates, kept)


def _by_size(rows: Sequence[RatedMerge]) -> Chart:
    """DPPA minus magnitude over the size of the delta, a series for each rate."""
    series = [
        Series.of(
            pruned(rate),
            [row.size or 0.0 for row in rows if row.rate == rate],
            [points(row.minus[SIMPLEST]) for row in rows if row.rate == rate],
            tuple(row.domain for row in rows if row.rate == rate),
        )
        for rate in dict.fromkeys(row.rate for row in rows)
    ]
    axes = Axis("size of the delta, ‖d‖ / ‖W‖"), Axis("DPPA minus magnitude", "points")
    return Chart("scatter", "Each model alone", *axes, tuple(series))


def _finding(
    merged: Sequence[RatedMerge], alone: Sequence[RatedMerge], others: Sequence[RatedMerge]
) -> str:
    """The outcomes, what is kept where DPPA gains most, then models alone and sets of few seeds."""
    few = [row for row in others if not row.outcomes]
    told = [_short(merged, others), _kept_at(max(merged, key=_gained)), _of_models_alone(alone)]
    return " ".join([*told, *map(_without_claim, few)])


def _short(merged: Sequence[RatedMerge], others: Sequence[RatedMerge]) -> str:
    """The outcomes of the embedded merges and of those over seeds."""
    several: dict[str, list[RatedMerge]] = {"Merged": list(merged)}
    for row in others:
        if row.outcomes:
            title = f"Over training seeds ({row.set}; rates of all entries)"
            several.setdefault(title, []).append(row)
    return " ".join(
        _outcomes(rows, rival, who) for who, rows in several.items() for rival in (SIMPLEST, WHOLE)
    )


def _gained(row: RatedMerge) -> float:
    return row.kept["dppa"] - row.kept[AS_PRUNED]


def _kept_at(row: RatedMerge) -> str:
    told = {name: f"{100 * share:.1f} %" for name, share in row.kept.items()}
    strength = PruningParameters().strength
    return (
        f"At {pruned(row.rate)} magnitude pruning leaves {told[AS_PRUNED]} of the models' accuracy "
        f"in the merge of the embedded models, DP at the paper's strength {strength:g} leaves "
        f"{told[PRUNED]}. With searched settings magnitude keeps {told[SIMPLEST]}, DP with one "
        f"factor {told['dp']}, DPPA {told['dppa']}, whole deltas {told[WHOLE]}. DPPA's settings: "
        f"{settings_text(row.values)}."
    )


def _outcomes(rows: Sequence[RatedMerge], rival: str, who: str) -> str:
    parts = []
    for outcome in OUTCOMES:
        same = [row for row in rows if row.outcomes[rival] == outcome]
        names = [f"at {pruned(row.rate)} ({_gap(row.minus[rival])})" for row in same]
        parts += [f"{WORDS[outcome].format(NAMES[rival])} {listed(names)}"] if names else []
    return f"{who}, DPPA {'; '.join(parts)}."


def _of_models_alone(rows: Sequence[RatedMerge]) -> str:
    """Where DPPA wins against magnitude both as pruned and searched, and where the search of
    magnitude did harm."""
    both = [row for row in rows if {row.outcomes[n] for n in (SIMPLEST, AS_PRUNED)} == {"wins"}]
    worse = [row for row in rows if row.kept[SIMPLEST] < row.kept[AS_PRUNED]]
    lines = [
        f"Each model alone, DPPA wins against magnitude, as pruned and searched, with "
        f"{listed([_place(row) for row in both]) or 'none'}."
    ]
    if worse:
        lines.append(
            "The search of magnitude chose settings that keep less than none would with "
            f"{listed([_place(row) for row in worse])}: compare with both."
        )
    return " ".join(lines)


def _place(row: RatedMerge) -> str:
    return f"{row.domain} at {pruned(row.rate)}"


def _without_claim(row: RatedMerge) -> str:
    gaps = [f"{NAMES[name]} {_gap(found)}" for name, found in row.minus.items()]
    return f"{row.set} at {pruned(row.rate)}, no claim: DPPA minus {listed(gaps)}."


def _gap(found: Interval) -> str:
    return f"{100 * found.value:+.1f} points, {100 * found.low:+.1f} to {100 * found.high:+.1f}"
