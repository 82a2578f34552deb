"""The overview before the experiments: where DPPA wins, ties and loses, over size, rate and set.

Made from what `make results` and `make study` measured; asks nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dppa_core.charts.report import Axis, Chart, Experiment, Findings
from dppa_core.errors import many
from dppa_core.evaluation.tables import Cell, Column, Row, Table, in_brackets, listed, settings_text
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_lab.experiments.overview_map import difference_map
from dppa_lab.experiments.overview_plain import confirmed, plain
from dppa_lab.experiments.overview_sizes import (
    all_sizes,
    by_planned_outcome,
    chosen_factors,
    gap_text,
    verdict_word,
    without_zero,
)
from dppa_lab.experiments.rated_merges import (
    AS_PRUNED,
    NAMES,
    OUTCOMES,
    PRUNED,
    SIMPLEST,
    TOO_LOW,
    WHOLE,
    RatedMerge,
    halves,
    of_results,
    of_studies,
)
from dppa_lab.experiments.score_table import points, pruned
from dppa_lab.zoo.study.compare import (
    EQUAL,
    LEAST_SEEDS,
    PRIMARY,
    SECONDARY,
    of_all_sizes,
)
from dppa_lab.zoo.study.confirmation import confirmation, without_new

KEY = "overview"
MERGED = (SIMPLEST, WHOLE)
"""Rivals of a merge of several."""
WORDS = {
    "wins": "wins against {}",
    "loses": "loses against {}",
    "ties": "ties with {}",
    "undecided": "is undecided against {}",
    TOO_LOW: "and {} both keep less than one model that is not merged",
}
HALVES = {
    "dppa": "What uneven densities add to two factors (DPPA minus DPA, which is strength 0)",
    "dpa": "What two factors add without them (DPA minus magnitude)",
}


def overview(
    results: Mapping[str, Any],
    studies: Sequence[Mapping[str, Any]],
    climbed: Mapping[str, Any] | None = None,
) -> Experiment:
    """The overview from lab/data/results.json, the sets in docs/study and lab/data/search.json."""
    studies, new = without_new(studies)
    compared = confirmation(new)
    tested = confirmed(compared, new)
    merged, alone = of_results(results)
    others = of_studies(studies)
    several = [*merged, *others]
    tables = (
        _table("Math, finance and law in one model", several, [Column("models")]),
        _table("One model alone", alone, [Column("domain"), Column("‖d‖ / ‖W‖")]),
    )
    maps = difference_map((several, alone), SIMPLEST), difference_map((several,), WHOLE)
    charts, finding = (*maps, _by_rate(merged)), _finding(merged, alone, others, studies, tested)
    short = plain(
        merged, [row for row in others if row.outcomes], studies, climbed, compared, tested
    )
    found = Findings(tables, charts, finding, short=short)
    return Experiment(
        KEY,
        "0",
        "When does DPPA win, tie and lose?",
        "Does DPPA keep more than magnitude pruning, and more than adding whole deltas?",
        _measured(results, sum(len(row.minus) for row in (*merged, *alone))),
        found,
        made="make results",
    )


def _measured(results: Mapping[str, Any], differences: int) -> str:
    """How the merges were measured and compared."""
    asked = sum(one["n"] for one in results["models"]["base"].values())
    return (
        "Every method's factors, coefficient and strength were chosen together on "
        f"{results['search_items']} search items a domain, with one budget for all, and scored on "
        f"all {asked:,} test items (`make results`). *As pruned*: nothing was chosen; factors and "
        "coefficients are 1, DP has the paper's strength. Retention is accuracy divided by the "
        "domain model's own, the arithmetic mean of the domains. The other experiments keep the "
        "paper's strength and ask fewer items, so their figures differ. A rate counts the "
        "entries of the modules; embeddings and norms stay whole. DPPA wins or loses where the "
        f"difference is beyond chance: p-values below 0.05, corrected for all {differences} "
        f"differences of the embedded models (Holm). It ties where the interval lies within "
        f"±{100 * EQUAL:g} points, and is undecided otherwise. Outcomes stand in the order of the "
        "differences: against task arithmetic, then against magnitude. Intervals of the embedded "
        "models cover the items, not the training: they were trained with one seed. Other sets "
        "(`make study`, with their own numbers of items) "
        f"count all entries, embeddings too. With {LEAST_SEEDS} seeds or more they have intervals "
        "over seeds, the wider of Student's and a bootstrap over seeds and items, and outcomes "
        "corrected for the five comparisons of a rate ([study plan](study-plan.md)); with fewer "
        "they have none. The sets of the confirmation are in no table here; its comparisons are "
        "corrected for their own number."
    )


def _table(title: str, rows: Sequence[RatedMerge], first: Sequence[Column]) -> Table:
    several = rows[0].size is None
    rivals = [*reversed(MERGED)] if several else [AS_PRUNED, SIMPLEST]
    shown = [name for name in NAMES if name in rows[0].kept and name != "dp"]  # room on the page
    columns = (
        *first,
        Column("pruned", "%"),
        Column("outcomes"),
        *(Column(f"minus {NAMES[name]}", "points") for name in rivals),
        *(Column(NAMES[name], "%") for name in shown),
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
        Cell(told or "few seeds: no claim"),
        *(Cell(None) if one is None else points(one) for one in gaps),
        *(Cell(None if one is None else 100 * one) for one in kept),
    )
    return Row(cells, row.recipe)


def _by_rate(rows: Sequence[RatedMerge]) -> Chart:
    """Retention of the merge of all three over the rate."""
    kept = {NAMES[name]: [Cell(100 * row.kept[name]) for row in rows] for name in NAMES}
    axes = Axis("pruned", "%"), Axis("retention, mean of the domains", "%")
    rates = [100 * row.rate for row in rows]
    return Chart.of("lines", "The three embedded models in one", axes, rates, kept)


def _finding(
    merged: Sequence[RatedMerge],
    alone: Sequence[RatedMerge],
    others: Sequence[RatedMerge],
    studies: Sequence[Mapping[str, Any]],
    tested: str,
) -> str:
    """How often DPPA wins, then where, what is kept where it gains most, then models alone and
    sets of few seeds."""
    few = [row for row in others if not row.outcomes]
    decided = [row for row in others if row.outcomes]
    told = [_tally(decided), by_planned_outcome(studies)] if decided else []
    told += [all_sizes(regime, of) for regime, of in of_all_sizes(studies).items()]
    told += [tested]
    told += [_places(decided, rival, outcome) for rival in MERGED for outcome in OUTCOMES]
    told += [_halves(studies, pair) for pair in SECONDARY]
    told += [chosen_factors(studies)]
    told += [_once(merged), _kept_at(max(merged, key=_gained)), _of_models_alone(alone)]
    return " ".join(filter(None, [*told, *map(_without_claim, few)]))


def _tally(rows: Sequence[RatedMerge]) -> str:
    """How often DPPA keeps more and less than each rival, over training seeds."""
    simple, whole = (_counted(Counter(row.outcomes[rival] for row in rows)) for rival in MERGED)
    sets = many(len({row.set for row in rows}), "group of sets", "groups of sets")
    return (
        f"In {many(len(rows), 'comparison')} ({sets} as first planned, each at its rates) DPPA "
        f"keeps more than whole deltas in {whole} and more than magnitude pruning in {simple}; "
        "the embedded models, one training, are not counted."
    )


def _counted(of: Counter[str]) -> str:
    others = {
        "less": of["loses"],
        f"within {100 * EQUAL:g} points": of["ties"],
        "undecided": of["undecided"],
        "both below one model that is not merged": of[TOO_LOW],
    }
    told = [f"{what} in {count}" for what, count in others.items() if count]
    return f"{of['wins'] or 'none'}{in_brackets(told)}"


def _halves(studies: Sequence[Mapping[str, Any]], pair: tuple[str, str, str]) -> str:
    """What one half adds to the other, over seeds, where a merge is worth more than one model."""
    known = [one for one in halves(studies) if (one.found.one, one.found.other) == pair[:2]]
    there = [one for one in known if not one.found.worthless]
    told = [
        f"{one.set.replace(', ', ' ', 1)} at {pruned(one.rate)} ({gap_text(one.found.interval)}; "
        f"{verdict_word(one.found)})"
        for one in there
    ]
    return f"{HALVES[pair[0]]}: {'; '.join(told)}." if told else ""


def _once(rows: Sequence[RatedMerge]) -> str:
    """The outcomes of the embedded models, which were trained with one seed."""
    told = []
    for rival in MERGED:
        for outcome in OUTCOMES:
            there = [row for row in rows if row.outcomes[rival] == outcome]
            gaps = [f"{pruned(row.rate)} ({gap_text(row.minus[rival])})" for row in there]
            if gaps:
                told.append(f"{WORDS[outcome].format(NAMES[rival])} at {listed(gaps)}")
    return (
        "The embedded models, one training, with intervals over questions alone: DPPA "
        f"{'; '.join(told)}."
    )


def _places(rows: Sequence[RatedMerge], rival: str, outcome: str) -> str:
    """The merges with one outcome against a rival; empty if there is none."""
    by_set: dict[str, list[str]] = {}
    for row in rows:
        if row.outcomes[rival] == outcome:
            who, gap = row.set.replace(", ", " ", 1), gap_text(row.minus[rival])
            if outcome == "undecided" and without_zero(row.minus[rival]):
                gap += f", not significant among the {len(PRIMARY)} comparisons of its rate"
            by_set.setdefault(who, []).append(f"{pruned(row.rate)} ({gap})")
    where = "; ".join(f"{who} at {listed(rates)}" for who, rates in by_set.items())
    return f"DPPA {WORDS[outcome].format(NAMES[rival])}: {where}." if where else ""


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
        f"{settings_text(row.values)}.{_only_here(row.values)}"
    )


def _only_here(values: Mapping[str, float]) -> str:
    """Whether the authors' program could have these factors; empty if it could."""
    if values.get("factor1", 1.0) >= values.get("factor2", 0.0):
        return ""
    return (
        " The authors' program gives no stronger partition a smaller factor, so it cannot have "
        "them (`semantics: authors`)."
    )


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
            f"With {listed([_place(row) for row in worse])}, the settings that magnitude's search "
            "chose keep less of the test items than none; so both are shown."
        )
    return " ".join(lines)


def _place(row: RatedMerge) -> str:
    return f"{row.domain} at {pruned(row.rate)}"


def _without_claim(row: RatedMerge) -> str:
    gaps = [f"{NAMES[name]} {gap_text(found)}" for name, found in row.minus.items()]
    low = "; none keeps as much as one model that is not merged" if len(row.too_low) > 1 else ""
    return f"{row.set} at {pruned(row.rate)}, no claim: DPPA minus {listed(gaps)}{low}."
