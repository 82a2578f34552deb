"""Experiment 6c: the size of the offset, ‖d‖/‖W‖, against which method keeps most."""

from __future__ import annotations

from collections.abc import Mapping

from dppa_core.charts.report import Axis, Chart, Findings, Series
from dppa_core.errors import many
from dppa_core.evaluation.tables import Cell, Column, Row, Table, in_brackets, listed, percent
from dppa_core.profiling.profile import cached_profile
from dppa_core.tuning.advice.facts import PROBE_KEEPS, PROBE_RATE
from dppa_core.tuning.advice.run import profile_facts
from dppa_lab.experiments.exams import CHOSEN
from dppa_lab.experiments.paper.contest import (
    DRAWS,
    METHODS,
    TITLES,
    Contest,
    against_magnitude,
    contests,
    tally,
)
from dppa_lab.experiments.score_table import (
    against_draws,
    compared,
    number,
    points,
    share,
    told,
    verdicts,
)
from dppa_lab.experiments.setting import Setting
from dppa_lab.experiments.steps import Declared, Steps

RATE = PROBE_RATE
"""At 80 % the methods hardly differ."""
SCALES = (0.25, 0.5, 1.0, 1.5, 2.0)
ANSWERS = 0.5
"""Smallest accuracy of an unpruned model that leaves something to retain."""
OTHERS = METHODS[1:]
Key = tuple[str, float]
"""Domain, scale."""


def steps(setting: Setting) -> Steps[Findings]:
    """Ask everything, then report."""
    changes = {
        one.domain: profile_facts(cached_profile(setting.base, one.model)).relative_change
        for one in setting.subjects
    }
    found = yield from contests({"": setting}, (RATE,), SCALES)
    cells = {
        (domain, scale): found["", domain, RATE, scale]
        for domain in setting.domains
        for scale in SCALES
    }
    return Findings((_table(changes, cells),), _plots(changes, cells), finding(changes, cells))


def _table(changes: Mapping[str, float], cells: Mapping[Key, Contest]) -> Table:
    columns = (
        *(Column("domain"), Column("delta", "×"), Column("‖d‖/‖W‖"), Column("unpruned", "%")),
        *(Column(TITLES[method], "%") for method in METHODS),
        Column("DPPA's factors"),
        *(Column(f"{TITLES[method]} − magnitude", "points") for method in OTHERS),
    )
    rows = []
    for (domain, scale), one in cells.items():
        gaps = (points(against_magnitude({domain: one}, method)) for method in OTHERS)
        first = Cell(one.subject.name), Cell(scale), Cell(scale * changes[domain])
        rows.append(Row((*first, *one.cells(), one.factors_cell(), *gaps)))
    return Table(f"Every delta at five sizes, pruned at {percent(RATE)}", columns, tuple(rows))


def _plots(changes: Mapping[str, float], cells: Mapping[Key, Contest]) -> tuple[Chart, ...]:
    order = sorted(cells, key=lambda key: key[1] * changes[key[0]])
    x = tuple(scale * changes[domain] for domain, scale in order)
    labels = tuple(_called(key, cells[key]) for key in order)
    gaps = {
        TITLES[method]: [points(against_magnitude({k[0]: cells[k]}, method)) for k in order]
        for method in OTHERS
    }
    there = [key for key in order if share(cells[key].own) >= ANSWERS]
    kept = tuple(
        Series(
            TITLES[method],
            tuple(key[1] * changes[key[0]] for key in there),
            tuple(_kept(cells[key], method) for key in there),
            labels=tuple(_called(key, cells[key]) for key in there),
        )
        for method in (*OTHERS, "magnitude")  # the others in the colours of the first plot
    )
    offset, of_whole = Axis("‖d‖/‖W‖"), Axis("of unpruned", "%")
    axes = offset, Axis("minus magnitude", "points")
    return (
        Chart.of("scatter", "Against magnitude", axes, x, gaps, labels),
        Chart("scatter", "What is kept where half is answered", offset, of_whole, kept),
    )


def _kept(one: Contest, method: str) -> float | None:
    """Retention against the unpruned model, in per cent."""
    own = share(one.own)
    return 100 * one.marks[method].mean / own if own else None


def finding(changes: Mapping[str, float], cells: Mapping[Key, Contest]) -> str:
    """The findings, for and against an effect of the offset's size; `changes` are ‖d‖/‖W‖."""
    offsets = [scale * changes[domain] for domain, scale in cells]
    poor = [_called(key, one) for key, one in cells.items() if share(one.own) < ANSWERS]
    lines = [
        f"‖d‖/‖W‖ goes from {number(min(offsets))} to {number(max(offsets))} in "
        f"{many(len(cells), 'cell')}. Unpruned, less than half is answered in {len(poor)} of "
        f"them{in_brackets(poor)}."
    ]
    for method in OTHERS:
        better, same, worse = tally(cells.values(), method)
        lines.append(
            f"{TITLES[method]} answers more than magnitude in {better}, less in {worse}; in {same} "
            "no difference was seen."
        )
    lines.append(_by_scale(cells, OTHERS[0]))
    lines += [_unscaled(cells), _amplified(cells), _dare(cells)]
    return " ".join(line for line in lines if line)


def _called(key: Key, one: Contest) -> str:
    return f"{one.subject.name} × {key[1]:g}"


def _by_scale(cells: Mapping[Key, Contest], method: str) -> str:
    parts = []
    for scale in dict.fromkeys(scale for _, scale in cells):
        of = {domain: one for (domain, s), one in cells.items() if s == scale}
        parts.append(f"{told(against_magnitude(of, method))} at × {scale:g}")
    return f"{TITLES[method]} minus magnitude, over the domains: {listed(parts)}."


def _unscaled(cells: Mapping[Key, Contest]) -> str:
    """Whether DPPA's factors do more than undo the scale, as a factor on magnitude would."""
    others = {key: one for key, one in cells.items() if key[1] != 1 and (key[0], 1.0) in cells}
    found = verdicts(
        [
            compared({key[0]: one.one("dppa")}, {key[0]: cells[key[0], 1.0].one("magnitude")})
            for key, one in others.items()
        ]
    )
    return (
        "DPPA's factors can undo the scale. Magnitude has none here; with the factor 1/s it is the "
        f"cell at × 1: of the {many(len(others), 'other cell')} DPPA answers more than that in "
        f"{found.count(1)}, less in {found.count(-1)}."
    )


def _amplified(cells: Mapping[Key, Contest]) -> str:
    """Whether DARE's rescaling helps: magnitude with twice the factor is another cell."""
    against = [against_magnitude({key[0]: one}, "dare") for key, one in cells.items()]
    sides = dict(zip(cells, verdicts(against), strict=True))
    ahead = {key: one for key, one in cells.items() if sides[key] > 0}
    doubled = {key: cells.get((key[0], 2 * key[1])) for key in ahead}
    both = {key: other for key, other in doubled.items() if other is not None}
    if not both:
        return ""
    found = verdicts(
        [
            against_draws({key[0]: other.one("magnitude")}, {key[0]: cells[key].marks["dare"]})
            for key, other in both.items()
        ]
    )
    return (
        f"DARE is ahead in {many(len(ahead), 'cell')}. Is that the random choice, or its rescaling "
        f"by {1 / (1 - RATE):.0f}? Magnitude can be amplified, too: the same delta at twice the "
        f"size, whole and pruned by magnitude, is among the cells for {len(both)} of them. It "
        f"answers more than DARE in {found.count(1)}, less in {found.count(-1)}."
    )


def _dare(cells: Mapping[Key, Contest]) -> str:
    """The paper's rule of thumb, if there is something to retain."""
    there = {key: one for key, one in cells.items() if share(one.own) >= ANSWERS}
    small = [key for key, one in there.items() if (_kept(one, "dare") or 0.0) >= 100 * PROBE_KEEPS]
    names = [_called(key, there[key]) for key in small]
    return (
        f"Of the {many(len(there), 'cell')} whose unpruned model answers half or more, DARE keeps "
        f"{percent(PROBE_KEEPS)} of it in {len(small)}{in_brackets(names)}: small deltas by the "
        "paper's rule of thumb."
    )


OFFSETS = Declared(
    key="offsets",
    number="6c",
    title="The size of the offset",
    question="Does ‖d‖/‖W‖ say which method keeps most?",
    measured="Every delta D is mixed as base + s·D, s from 0.25 to 2: that is the model, unpruned, "
    f"that pruning is compared with. It is pruned at {percent(RATE)} by every method and asked "
    f"{{test}} test items of its domain; DARE {DRAWS} times with other seeds, DPPA with factors "
    f"chosen on {{search}} search items at every size, {CHOSEN}. Pruning keeps the same entries at "
    "every size.",
    steps=steps,
)
