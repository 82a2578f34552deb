"""Experiment 2: the accuracy that Dynamically Partition Amplification recovers at every rate."""

from __future__ import annotations

from dppa_core.charts.plots import Axis, Chart
from dppa_core.charts.report import Findings
from dppa_core.charts.tables import Table, factors_text
from dppa_core.evaluation.side_by_side import Comparison
from dppa_lab.experiments.paper.pruning import RATES
from dppa_lab.experiments.paper.rated_marks import PruningVariant, RatedMarks, rated_marks
from dppa_lab.experiments.score_table import accuracy, compared, points, retained, row, table
from dppa_lab.experiments.setting import Setting
from dppa_lab.experiments.steps import Steps, declared

VARIANTS = (PruningVariant("dp", "DP", "dp"), PruningVariant("dppa", "DPPA", "dppa", 2))


def steps(setting: Setting) -> Steps[Findings]:
    """Choose factors on search items, then ask test items with and without the factors."""
    rated = yield from rated_marks(setting, VARIANTS, RATES)
    return Findings((_table(setting, rated),), (_plot(rated),))


def _gain(rated: RatedMarks, domain: str, rate: float) -> Comparison:
    """DPPA minus DP on one domain."""
    after, before = (rated.marks[kind, rate, domain] for kind in ("dppa", "dp"))
    return compared({domain: after}, {domain: before})


def _table(setting: Setting, rated: RatedMarks) -> Table:
    columns = (
        *("domain", "pruned|%", "DP|%", "DPPA|%", "factors, strongest / next band|×"),
        *("gain|points", "kept of the domain model|%"),
    )
    rows = []
    for subject in setting.subjects:
        domain = subject.domain
        for rate in RATES:
            before, after = (rated.marks[kind, rate, domain] for kind in ("dp", "dppa"))
            rows.append(
                row(
                    *(subject.name, 100 * rate, accuracy(before), accuracy(after)),
                    factors_text(rated.factors["dppa", rate, domain]),
                    points(_gain(rated, domain, rate), len(after.hits)),
                    retained({domain: after}, {domain: rated.unpruned[domain]}),
                    recipe=rated.recipes["dppa", rate, domain],
                )
            )
    return table("Pruned by DP, then amplified; test items of each domain", columns, rows)


def _plot(rated: RatedMarks) -> Chart:
    gains = {
        domain.rpartition(":")[2]: [points(_gain(rated, domain, rate)) for rate in RATES]
        for domain in rated.unpruned
    }
    axes = Axis("pruned", "%"), Axis("gain in accuracy", "points")
    rates = [100 * rate for rate in RATES]
    return Chart.of("lines", "What amplification adds to DP", axes, rates, gains)


RECOVERY = declared("recovery", steps)
