"""The overview before the experiments: where DPPA wins, ties and loses, over size, rate and set.

Made from what `make results` and `make study` measured; asks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dppa_core.evaluation.tables import Cell, Column, Row, Table, listed, settings_text
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.studies.experiments.score_table import points, pruned
from dppa_core.studies.experiments.values import Axis, Chart, Experiment, Findings, Series
from dppa_core.studies.zoo.results.retained import sides
from dppa_core.studies.zoo.study.compare import EQUAL, apart, retention
from dppa_core.tasks.intervals import Interval

KEY = "overview"
EMBEDDED = "embedded, settled"
OUTCOMES = ("wins", "ties", "undecided", "loses")
WHOLE, SIMPLEST, AS_PRUNED = "task_arithmetic", "magnitude", "magnitude_as_pruned"
RIVALS = {WHOLE: "task arithmetic", AS_PRUNED: "magnitude as pruned", SIMPLEST: "magnitude"}
"""Key of a difference in the results -> the rival's name."""
PRUNED = "dp_as_pruned"
NAMES = {**RIVALS, PRUNED: "DP as pruned", "dp": "DP", "dppa": "DPPA"}


@dataclass(frozen=True, slots=True)
class RatedMerge:
    """DPPA at one rate beside the others."""

    set: str
    domain: str
    """Of a single model; empty for several."""
    size: float | None
    """‖d‖ ÷ ‖W‖ of a single model; None for several."""
    rate: float
    kept: Mapping[str, float]
    """By the keys of `NAMES`: mean retention, as a fraction."""
    minus: Mapping[str, Interval]
    """Rival -> DPPA's mean retention minus the rival's, as a fraction."""
    values: Mapping[str, float]
    """The numbers of DPPA that the search chose."""
    recipe: str | None
    outcomes: Mapping[str, str] = field(default_factory=dict)
    """Rival -> one of `OUTCOMES`, for DPPA against it; empty where one seed allows no claim."""


def overview(results: Mapping[str, Any], studies: Sequence[Mapping[str, Any]]) -> Experiment:
    """The overview from docs/results.json and the sets in docs/study."""
    merged, alone = list(_merged(results)), list(_alone(results))
    decided = _decided([*merged, *alone])
    merged, alone = decided[: len(merged)], decided[len(merged) :]
    others = [row for of in studies for row in _of_study(of)]
    tables = (
        _table("Math, finance and law in one model", [*merged, *others], [Column("models")]),
        _table("One model alone", alone, [Column("domain"), Column("‖d‖ / ‖W‖")]),
    )
    plots = _by_rate(merged), _by_size(alone)
    found = Findings(tables, plots, _finding(merged, alone, others), (), _short(merged))
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
        "beyond chance: p-values below 0.05, corrected for all "
        f"{sum(len(row.minus) for row in decided)} differences of the embedded models (Holm). It "
        f"ties where the interval lies within ±{100 * EQUAL:g} points, and is undecided otherwise. "
        "Outcomes stand in the order of the differences. Intervals cover the items, not the "
        "training: each set was trained with one seed. Other sets (`make study`, with their own "
        "numbers of items) are shown without an outcome.",
        found,
        made="make results",
    )


def _merged(results: Mapping[str, Any]) -> Iterator[RatedMerge]:
    known = {(row["method"], row["rate"]): row["merged"] for row in results["merges"]}
    for (method, rate), ours in known.items():
        if method == "dppa":
            kept = {name: known[name, rate]["best"]["kept"] for name in (SIMPLEST, "dp", "dppa")}
            kept[WHOLE] = known[WHOLE, 0.0]["best"]["kept"]
            kept[AS_PRUNED] = known[SIMPLEST, rate]["plain"]["kept"]
            yield _row(ours, "", None, rate, kept)


def _alone(results: Mapping[str, Any]) -> Iterator[RatedMerge]:
    known = {(row["method"], row["rate"]): row.get("alone", {}) for row in results["merges"]}
    for domain, size in results["sizes"].items():
        for (method, rate), each in known.items():
            if method == "dppa":
                kept = {n: known[n, rate][domain]["best"]["kept"] for n in (SIMPLEST, "dppa")}
                kept[AS_PRUNED] = known[SIMPLEST, rate][domain]["plain"]["kept"]
                yield _row(each[domain], domain, size, rate, kept)


def _row(
    ours: Mapping[str, Any], domain: str, size: float | None, rate: float, kept: dict[str, float]
) -> RatedMerge:
    minus = {name: Interval(**found) for name, found in ours["minus"].items()}
    kept = {**kept, PRUNED: ours["plain"]["kept"]}
    values, recipe = ours["values"], ours["best"]["recipe"]
    return RatedMerge(EMBEDDED, domain, size, rate, kept, minus, values, recipe)


def _of_study(of: Mapping[str, Any]) -> Iterator[RatedMerge]:
    """The set's merges, one for each rate of all entries at which DPPA was measured."""
    told, own = of["set"], of["own"]
    known = {(row["name"], row["rate"]): row for row in of["merges"] if row["budget"] != "modules"}
    for (name, rate), ours in known.items():
        if name == "dppa":
            hits = {n: known[n, rate]["hits"] for n in (SIMPLEST, "dp") if (n, rate) in known}
            hits |= {WHOLE: known[WHOLE, 0.0]["hits"], "dppa": ours["hits"]}
            kept = {n: retention(of_one, own) for n, of_one in hits.items()}
            minus = {n: apart(ours["hits"], hits[n], own) for n in (WHOLE, SIMPLEST)}
            title = f"{told['size']}, {told['regime']}, seed {told['seed']}"
            yield RatedMerge(title, "", None, rate, kept, minus, ours["values"], None)


def _decided(rows: Sequence[RatedMerge]) -> list[RatedMerge]:
    """The rows with their outcomes, corrected for the number of differences."""
    found = iter(sides([each for row in rows for each in row.minus.values()]))
    return [
        replace(row, outcomes={n: _outcome(one, next(found)) for n, one in row.minus.items()})
        for row in rows
    ]


def _outcome(found: Interval, side: int) -> str:
    if side:
        return "wins" if side > 0 else "loses"
    return "ties" if -EQUAL < found.low and found.high < EQUAL else "undecided"


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
        Cell(told or "one seed: no claim"),
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
    """The outcomes by rival, then what is kept where DPPA gains most."""
    lines = [_outcomes(merged, name) for name in (SIMPLEST, WHOLE)]
    lines += [_kept_at(max(merged, key=_gained)), _of_models_alone(alone)]
    return " ".join([*lines, *map(_without_claim, others)])


def _short(merged: Sequence[RatedMerge]) -> str:
    """The embedded merges in a few sentences."""
    return f"{_outcomes(merged, SIMPLEST)} {_kept_at(max(merged, key=_gained))}"


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


def _outcomes(rows: Sequence[RatedMerge], rival: str) -> str:
    parts = []
    for outcome in OUTCOMES:
        same = [row for row in rows if row.outcomes[rival] == outcome]
        names = [f"at {pruned(row.rate)} ({_gap(row.minus[rival])})" for row in same]
        parts += [f"{outcome} {listed(names)}"] if names else []
    return f"Merged, DPPA against {NAMES[rival]}: {'; '.join(parts)}."


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
