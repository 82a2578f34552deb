"""Experiment 6a: what DP and DPPA gain over magnitude as the rate rises beyond 80 %, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dppa_core.charts.plots import Axis, Chart, Series
from dppa_core.charts.report import Findings
from dppa_core.charts.tables import Table
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_lab.experiments.paper.rated_marks import PruningVariant, RatedMarks, rated_marks
from dppa_lab.experiments.score_table import mean_share, points, row, table
from dppa_lab.experiments.setting import Setting
from dppa_lab.experiments.steps import Steps, declared

RATES = (0.8, 0.85, 0.9, 0.95, 0.99)
VARIANTS = (
    PruningVariant("magnitude", "magnitude", "magnitude"),
    PruningVariant("dp", "DP", "dp"),
    PruningVariant("dppa", "DPPA", "dppa", 2),
)
STRENGTHS = {"magnitude": 0.0, "dp": PruningParameters().strength}
STARVED = 0.1
"""A matrix with less than this part of its even share counts as starved."""


@dataclass(frozen=True, slots=True)
class KeptShares:
    """Figures of a pruning computed from profiles; means over the domains, as fractions."""

    energy: float
    """Share of the sum of d²."""
    starved: float
    """Share of the matrices with less than a tenth of their even share."""


Shares = Mapping[tuple[str, float], KeptShares]
"""Method and rate -> figures, for magnitude and DP."""


def steps(setting: Setting) -> Steps[Findings]:
    """Choose factors at every rate, ask test items, and measure what the plans keep."""
    rated = yield from rated_marks(setting, VARIANTS, RATES)
    shares = plans(setting)
    return Findings((_table(rated, shares),), (_gains(rated), _reasons(shares)))


def plans(setting: Setting) -> Shares:
    """Kept shares of magnitude and DP at every rate, from the profiles alone."""
    profiles = [cached_profile(setting.base, subject.model) for subject in setting.subjects]
    shares = {}
    for method, strength in STRENGTHS.items():
        for rate in RATES:
            parameters = PruningParameters(strength=strength)
            planned = [plan_pruning(profile, [rate], parameters) for profile in profiles]
            starved = [
                _mean([module.density < STARVED * (1 - rate) for module in plan.modules])
                for plan in planned
            ]
            energy = _mean([plan.energy for plan in planned])
            shares[method, rate] = KeptShares(energy, _mean(starved))
    return shares


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _table(rated: RatedMarks, shares: Shares) -> Table:
    columns = (
        *("pruned|%", *(f"{variant.title}|%" for variant in VARIANTS)),
        *(f"{variant.title} minus magnitude|points" for variant in VARIANTS[1:]),
        *("d² kept by magnitude|%", "d² kept by DP|%", "matrices DP starves|%"),
    )
    rows = [
        row(
            100 * rate,
            *(100 * mean_share(rated.at(variant.key, rate)) for variant in VARIANTS),
            *(points(rated.gain(variant.key, "magnitude", rate)) for variant in VARIANTS[1:]),
            *(100 * shares[method, rate].energy for method in STRENGTHS),
            100 * shares["dp", rate].starved,
        )
        for rate in RATES
    ]
    return table("Means over the domains, each model alone; test items", columns, rows)


def _gains(rated: RatedMarks) -> Chart:
    cells = {
        f"{variant.title} minus magnitude": [
            points(rated.gain(variant.key, "magnitude", rate)) for rate in RATES
        ]
        for variant in VARIANTS[1:]
    }
    axes = Axis("pruned", "%"), Axis("gain in accuracy", "points")
    rates = [100 * rate for rate in RATES]
    return Chart.of("lines", "Gain over magnitude beyond 80 %", axes, rates, cells)


def _reasons(shares: Shares) -> Chart:
    lines = {
        "d² kept by magnitude": [shares["magnitude", rate].energy for rate in RATES],
        "d² kept by DP": [shares["dp", rate].energy for rate in RATES],
        "matrices DP starves": [shares["dp", rate].starved for rate in RATES],
    }
    series = tuple(
        Series(title, tuple(100 * rate for rate in RATES), tuple(100 * value for value in values))
        for title, values in lines.items()
    )
    axes = Axis("pruned", "%"), Axis("share", "%")
    return Chart("lines", "What the plans keep, and whom DP starves", *axes, series)


BEYOND = declared("beyond", steps)
