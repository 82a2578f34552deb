"""Experiment 6c: the size of the offset, ‖d‖/‖W‖, against which method keeps most."""

from __future__ import annotations

from collections.abc import Mapping

from dppa_core.charts.report import Axis, Chart, Findings, Series
from dppa_core.evaluation.tables import Cell, Column, Row, Table, percent
from dppa_core.profiling.profile import cached_profile
from dppa_core.tuning.advice.facts import PROBE_RATE
from dppa_core.tuning.advice.run import profile_facts
from dppa_lab.experiments.exams import CHOSEN
from dppa_lab.experiments.paper.contest import (
    DRAWS,
    METHODS,
    TITLES,
    Contest,
    against_magnitude,
    contests,
)
from dppa_lab.experiments.score_table import (
    points,
    share,
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
        subject.domain: profile_facts(cached_profile(setting.base, subject.model)).relative_change
        for subject in setting.subjects
    }
    by_place = yield from contests({"": setting}, (RATE,), SCALES)
    cells = {
        (domain, scale): by_place["", domain, RATE, scale]
        for domain in setting.domains
        for scale in SCALES
    }
    return Findings((_table(changes, cells),), _plots(changes, cells))


def _table(changes: Mapping[str, float], cells: Mapping[Key, Contest]) -> Table:
    columns = (
        *(Column("domain"), Column("delta", "×"), Column("‖d‖/‖W‖"), Column("unpruned", "%")),
        *(Column(TITLES[method], "%") for method in METHODS),
        Column("DPPA's factors"),
        *(Column(f"{TITLES[method]} − magnitude", "points") for method in OTHERS),
    )
    rows = []
    for (domain, scale), contest in cells.items():
        gaps = (points(against_magnitude({domain: contest}, method)) for method in OTHERS)
        first = Cell(contest.subject.name), Cell(scale), Cell(scale * changes[domain])
        rows.append(Row((*first, *contest.cells(), contest.factors_cell(), *gaps)))
    return Table(f"Every delta at five sizes, pruned at {percent(RATE)}", columns, tuple(rows))


def _plots(changes: Mapping[str, float], cells: Mapping[Key, Contest]) -> tuple[Chart, ...]:
    order = sorted(cells, key=lambda key: key[1] * changes[key[0]])
    x = tuple(scale * changes[domain] for domain, scale in order)
    labels = tuple(_called(key, cells[key]) for key in order)
    gaps = {
        TITLES[method]: [points(against_magnitude({k[0]: cells[k]}, method)) for k in order]
        for method in OTHERS
    }
    answering = [key for key in order if share(cells[key].unpruned) >= ANSWERS]
    kept = tuple(
        Series(
            TITLES[method],
            tuple(key[1] * changes[key[0]] for key in answering),
            tuple(_kept(cells[key], method) for key in answering),
            labels=tuple(_called(key, cells[key]) for key in answering),
        )
        for method in (*OTHERS, "magnitude")  # the others in the colours of the first plot
    )
    offset, of_whole = Axis("‖d‖/‖W‖"), Axis("of unpruned", "%")
    axes = offset, Axis("minus magnitude", "points")
    return (
        Chart.of("scatter", "Against magnitude", axes, x, gaps, labels),
        Chart("scatter", "What is kept where half is answered", offset, of_whole, kept),
    )


def _kept(contest: Contest, method: str) -> float | None:
    """Retention against the unpruned model, in per cent."""
    unpruned = share(contest.unpruned)
    return 100 * contest.marks[method].mean / unpruned if unpruned else None


def _called(key: Key, contest: Contest) -> str:
    return f"{contest.subject.name} × {key[1]:g}"


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
