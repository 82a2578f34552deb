"""Experiment 6a: what DP and DPPA gain over magnitude as the rate rises beyond 80 %, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dppa_core.charts.report import Axis, Chart, Findings, Series
from dppa_core.evaluation.side_by_side import Comparison
from dppa_core.evaluation.tables import Cell, Column, Row, Table
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_lab.experiments.exams import CHOSEN, alone, factors_at, own_marks
from dppa_lab.experiments.score_table import (
    RatedMarks,
    mean_share,
    points,
)
from dppa_lab.experiments.setting import Setting, Treatment
from dppa_lab.experiments.steps import Declared, Steps, all_asked

RATES = (0.8, 0.85, 0.9, 0.95, 0.99)
METHODS = ("magnitude", "dp", "dppa")
TITLES = {"dp": "DP", "dppa": "DPPA"}
STARVED = 0.1
"""A matrix with less than this part of its even share counts as starved."""


@dataclass(frozen=True, slots=True)
class KeptShares:
    """Figures of a pruning computed from profiles; means over the domains, as fractions."""

    energy: float
    """Share of the sum of d²."""
    starved: float
    """Share of the matrices with less than a tenth of their even share."""


@dataclass(frozen=True, slots=True)
class Beyond(RatedMarks):
    """All results of the experiment, by method."""

    shares: dict[tuple[str, float], KeptShares]
    """(method, rate) -> figures, for magnitude and DP."""

    def over(self, method: str, rate: float) -> Comparison:
        """A method against magnitude."""
        return self.gain(method, "magnitude", rate)


def steps(setting: Setting) -> Steps[Findings]:
    """Choose factors at every rate, ask test items, and measure what the plans keep."""
    factors_of = yield from factors_at(setting, setting.subjects, RATES)
    unpruned = yield from own_marks(setting)
    questions = {}
    for method in METHODS:
        for rate in RATES:
            for subject in setting.subjects:
                factors = factors_of[rate, subject.domain] if method == "dppa" else None
                _, question = alone(setting, subject, Treatment(method, rate), factors)
                questions[method, rate, subject.domain] = question
    marks = yield from all_asked(questions)
    beyond = Beyond(unpruned, marks, plans(setting))
    return Findings((_table(beyond),), (_gains(beyond), _reasons(beyond)))


def plans(setting: Setting) -> dict[tuple[str, float], KeptShares]:
    """What magnitude and DP keep at every rate, from the profiles alone."""
    profiles = [cached_profile(setting.base, subject.model) for subject in setting.subjects]
    shares = {}
    for method, parameters in (
        ("magnitude", PruningParameters(strength=0.0)),
        ("dp", PruningParameters()),
    ):
        for rate in RATES:
            planned = [plan_pruning(profile, [rate], parameters) for profile in profiles]
            energy = _mean([plan.energy for plan in planned])
            starved = [
                _mean([module.density < STARVED * (1 - rate) for module in plan.modules])
                for plan in planned
            ]
            shares[method, rate] = KeptShares(energy, _mean(starved))
    return shares


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _table(beyond: Beyond) -> Table:
    columns = (
        Column("pruned", "%"),
        *(Column(title, "%") for title in ("magnitude", "DP", "DPPA")),
        Column("DP minus magnitude", "points"),
        Column("DPPA minus magnitude", "points"),
        Column("d² kept by magnitude", "%"),
        Column("d² kept by DP", "%"),
        Column("matrices DP starves", "%"),
    )
    rows = []
    for rate in RATES:
        shares = [Cell(100 * mean_share(beyond.at(method, rate))) for method in METHODS]
        gains = [points(beyond.over(method, rate)) for method in METHODS[1:]]
        energies = [Cell(100 * beyond.shares[method, rate].energy) for method in METHODS[:2]]
        starved = Cell(100 * beyond.shares["dp", rate].starved)
        rows.append(Row((Cell(100 * rate), *shares, *gains, *energies, starved)))
    return Table("Means over the domains, each model alone; test items", columns, tuple(rows))


def _gains(beyond: Beyond) -> Chart:
    cells = {
        f"{title} minus magnitude": [points(beyond.over(method, rate)) for rate in RATES]
        for method, title in TITLES.items()
    }
    axes, rates = (Axis("pruned", "%"), Axis("gain in accuracy", "points")), _percents(RATES)
    return Chart.of("lines", "Gain over magnitude beyond 80 %", axes, rates, cells)


def _percents(values: Sequence[float]) -> list[float]:
    return [100 * value for value in values]


def _reasons(beyond: Beyond) -> Chart:
    lines = {
        "d² kept by magnitude": [beyond.shares["magnitude", rate].energy for rate in RATES],
        "d² kept by DP": [beyond.shares["dp", rate].energy for rate in RATES],
        "matrices DP starves": [beyond.shares["dp", rate].starved for rate in RATES],
    }
    series = tuple(
        Series(title, tuple(_percents(RATES)), tuple(_percents(shares)))
        for title, shares in lines.items()
    )
    axes = Axis("pruned", "%"), Axis("share", "%")
    return Chart("lines", "What the plans keep, and whom DP starves", *axes, series)


BEYOND = Declared(
    key="beyond",
    number="6a",
    title="Gain against rate beyond 80 %",
    question="Does the gain shrink as the rate rises beyond 80 %, as the paper reports without "
    "saying why?",
    measured="Each domain model alone at five rates, {test} test items of its domain; factors are "
    f"chosen on {{search}} search items, {CHOSEN}. Beside the answers stands what the plans keep, "
    "before any weight is touched: the share of the sum of d², and how many matrices DP leaves "
    "less than a tenth of the even share 1 − rate.",
    steps=steps,
)
