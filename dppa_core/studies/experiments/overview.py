"""The overview before the experiments: where DPPA wins, ties and loses, over size, rate and set.

Made from what `make results` and `make study` measured; asks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
WHOLE, SIMPLEST = "task_arithmetic", "magnitude"
NAMES = {WHOLE: "task arithmetic", SIMPLEST: "magnitude"}


@dataclass(frozen=True, slots=True)
class RatedMerge:
    """DPPA at one rate beside the others, every method with searched settings."""

    set: str
    models: str
    size: float | None
    """‖d‖ ÷ ‖W‖ of a single model; None for several."""
    rate: float
    kept: Mapping[str, float]
    """Method -> mean retention, as a fraction; `pruned` is DP without any factor."""
    minus: Mapping[str, Interval]
    """Method -> DPPA's mean retention minus the method's, as a fraction."""
    values: Mapping[str, float]
    """The numbers of DPPA that the search chose."""
    recipe: str | None
    outcomes: Mapping[str, str]
    """Method -> one of `OUTCOMES`, for DPPA against it."""


def overview(results: Mapping[str, Any], studies: Sequence[Mapping[str, Any]]) -> Experiment:
    """The overview from docs/results.json and the sets in docs/study."""
    rows = _decided([*_merged(results), *_alone(results), *map(_of_study, studies)])
    several = [row for row in rows if row.size is None]
    single = [row for row in rows if row.size is not None]
    tables = (
        _table("Math, finance and law in one model", several, [Column("set")]),
        _table("One model alone", single, [Column("domain"), Column("‖d‖ / ‖W‖")]),
    )
    ours = [row for row in several if row.set == EMBEDDED]
    found = Findings(tables, (_by_rate(ours), _by_size(single)), _finding(rows), (), _short(ours))
    return Experiment(
        KEY,
        "0",
        "When does DPPA win, tie and lose?",
        "Does DPPA keep more than plain magnitude pruning, and more than adding whole deltas?",
        f"Every method's factors, coefficient and strength were chosen together on "
        f"{results['search_items']} search items a domain, with one budget for all "
        "(`make results`; other sets: `make study`, with their own numbers of items), then scored "
        "on test items. *As pruned*: DP without any factor. A rate counts the entries of the "
        "modules; embeddings and norms stay whole. DPPA wins or loses where the difference is "
        f"beyond chance: p-values below 0.05, corrected for all "
        f"{sum(len(row.minus) for row in rows)} differences of both tables (Holm). It ties where "
        f"the interval lies within ±{100 * EQUAL:g} points, and is undecided otherwise. Each set "
        "was trained with one seed, which no interval covers.",
        found,
        made="make results",
    )


def _merged(results: Mapping[str, Any]) -> Iterator[RatedMerge]:
    known = {(row["method"], row["rate"]): row["merged"] for row in results["merges"]}
    for (method, rate), ours in known.items():
        if method == "dppa":
            kept = {name: known[name, rate]["best"]["kept"] for name in (SIMPLEST, "dppa")}
            kept[WHOLE] = known[WHOLE, 0.0]["best"]["kept"]
            yield _row(ours, "math + finance + law", None, rate, kept)


def _alone(results: Mapping[str, Any]) -> Iterator[RatedMerge]:
    known = {(row["method"], row["rate"]): row.get("alone", {}) for row in results["merges"]}
    for domain, size in results["sizes"].items():
        for (method, rate), each in known.items():
            if method == "dppa":
                kept = {n: known[n, rate][domain]["best"]["kept"] for n in (SIMPLEST, "dppa")}
                yield _row(each[domain], domain, size, rate, kept)


def _row(
    ours: Mapping[str, Any], models: str, size: float | None, rate: float, kept: dict[str, float]
) -> RatedMerge:
    minus = {name: Interval(**found) for name, found in ours["minus"].items()}
    kept = {**kept, "pruned": ours["plain"]["kept"]}
    values, recipe = ours["values"], ours["best"]["recipe"]
    return RatedMerge(EMBEDDED, models, size, rate, kept, minus, values, recipe, {})


def _of_study(of: Mapping[str, Any]) -> RatedMerge:
    """The set's merge at the rate of its study."""
    told, own = of["set"], of["own"]
    rows = {row["name"]: row for row in of["merges"] if row["budget"] != "modules"}
    hits = {name: row["hits"] for name, row in rows.items()}
    kept = {name: retention(hits[name], own) for name in (SIMPLEST, WHOLE, "dppa")}
    minus = {name: apart(hits["dppa"], hits[name], own) for name in (SIMPLEST, WHOLE)}
    name, models = f"{told['size']}, {told['regime']}", " + ".join(own)
    rate, values = rows["dppa"]["rate"], rows["dppa"]["values"]
    return RatedMerge(name, models, None, rate, kept, minus, values, None, {})


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
    rivals = [name for name in NAMES if name in rows[0].minus]
    columns = (
        *first,
        Column("pruned", "%"),
        *(Column(NAMES[name], "%") for name in rivals),
        Column("as pruned by DP", "%"),
        Column("DPPA", "%"),
        *(Column(f"minus {NAMES[name]}", "points") for name in rivals),
        Column("outcome" if len(rivals) == 1 else "outcomes"),
    )
    return Table(title, columns, tuple(_cells(row, rivals) for row in rows))


def _cells(row: RatedMerge, rivals: Sequence[str]) -> Row:
    first = [Cell(row.set)] if row.size is None else [Cell(row.models), Cell(row.size)]
    kept = (row.kept.get(name) for name in (*rivals, "pruned", "dppa"))
    cells = (
        *first,
        Cell(100 * row.rate),
        *(Cell(None if one is None else 100 * one) for one in kept),
        *(points(row.minus[name]) for name in rivals),
        Cell(", ".join(row.outcomes[name] for name in rivals)),
    )
    return Row(cells, row.recipe)


def _by_rate(rows: Sequence[RatedMerge]) -> Chart:
    """Retention of the merge of all three over the rate."""
    titles = {WHOLE: "task arithmetic, nothing pruned", SIMPLEST: "magnitude pruning"}
    titles |= {"pruned": "DP, as pruned", "dppa": "DPPA"}
    kept = {title: [Cell(100 * row.kept[name]) for row in rows] for name, title in titles.items()}
    axes = Axis("pruned", "%"), Axis("retention, mean of the domains", "%")
    return Chart.of(
        "lines", "The three embedded models in one", axes, [100 * row.rate for row in rows], kept
    )


def _by_size(rows: Sequence[RatedMerge]) -> Chart:
    """DPPA minus magnitude over the size of the delta, a series for each rate."""
    series = [
        Series.of(
            pruned(rate),
            [row.size or 0.0 for row in rows if row.rate == rate],
            [points(row.minus[SIMPLEST]) for row in rows if row.rate == rate],
            tuple(row.models for row in rows if row.rate == rate),
        )
        for rate in dict.fromkeys(row.rate for row in rows)
    ]
    axes = Axis("size of the delta, ‖d‖ / ‖W‖"), Axis("DPPA minus magnitude", "points")
    return Chart("scatter", "Each model alone", *axes, tuple(series))


def _finding(rows: Sequence[RatedMerge]) -> str:
    """What is kept where amplification brings back most, then the outcomes by rival."""
    several = [row for row in rows if row.size is None]
    single = [row for row in rows if row.size is not None]
    most = max((row for row in several if row.set == EMBEDDED), key=_brought_back)
    lines = [_kept_at(most), *(_outcomes(several, name, "Merged") for name in (SIMPLEST, WHOLE))]
    return " ".join([*lines, _outcomes(single, SIMPLEST, "Each model alone")])


def _short(rows: Sequence[RatedMerge]) -> str:
    """The embedded merges in a sentence or two."""
    return f"{_kept_at(max(rows, key=_brought_back))} {_outcomes(rows, SIMPLEST, 'Merged')}"


def _brought_back(row: RatedMerge) -> float:
    return row.kept["dppa"] - row.kept["pruned"]


def _kept_at(row: RatedMerge) -> str:
    told = {name: f"{100 * share:.1f} %" for name, share in row.kept.items()}
    return (
        f"At {pruned(row.rate)} DP leaves {told['pruned']} of the models' accuracy in the merge of "
        f"the embedded models; with searched settings DPPA keeps {told['dppa']} and magnitude "
        f"pruning {told[SIMPLEST]}, whole deltas {told[WHOLE]}. DPPA's: "
        f"{settings_text(row.values)}; the paper's strength is {PruningParameters().strength:g}."
    )


def _outcomes(rows: Sequence[RatedMerge], rival: str, who: str) -> str:
    sets = {row.set for row in rows}
    parts = []
    for outcome in OUTCOMES:
        same = [row for row in rows if row.outcomes[rival] == outcome]
        names = [f"{_place(row, len(sets) > 1)} ({_gap(row.minus[rival])})" for row in same]
        parts += [f"{outcome} {listed(names)}"] if names else []
    return f"{who}, DPPA against {NAMES[rival]}: {'; '.join(parts)}."


def _place(row: RatedMerge, named: bool) -> str:
    """Where it was measured; with its set if there are several."""
    whose = f"with {row.models} " if row.size is not None else ""
    return f"{whose}at {pruned(row.rate)}{f' in {row.set}' if named else ''}"


def _gap(found: Interval) -> str:
    return f"{100 * found.value:+.1f} points, {100 * found.low:+.1f} to {100 * found.high:+.1f}"
