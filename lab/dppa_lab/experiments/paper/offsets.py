"""Experiment 6c: the size of the offset, ‖d‖/‖W‖, against which method keeps most."""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.charts.plots import Axis, Chart, Series
from dppa_core.charts.report import Findings
from dppa_core.charts.tables import Cell, Table, percent
from dppa_core.profiling.profile import cached_profile
from dppa_core.tuning.advice.facts import PROBE_RATE
from dppa_core.tuning.advice.gather_facts import profile_facts
from dppa_lab.experiments.paper.contest import METHODS, TITLES, Contest, against_magnitude, contests
from dppa_lab.experiments.score_table import row, share, table
from dppa_lab.experiments.setting import Setting
from dppa_lab.experiments.steps import Steps, declared

RATE = PROBE_RATE
"""At 80 % the methods hardly differ."""
SCALES = (0.25, 0.5, 1.0, 1.5, 2.0)
LEAST_UNPRUNED = 0.5
"""Smallest accuracy of an unpruned model that leaves something to retain."""
RIVALS = METHODS[1:]


@dataclass(frozen=True, slots=True)
class ScaledContest:
    """The contest of a delta at one scale."""

    contest: Contest
    change: float
    """‖d‖/‖W‖ of the scaled delta."""

    @property
    def label(self) -> str:
        """The domain and the scale."""
        return f"{self.contest.subject.name} × {self.contest.scale:g}"

    @property
    def unpruned(self) -> float:
        """The accuracy of the unpruned model, as a fraction."""
        return share(self.contest.unpruned)

    def gap(self, method: str) -> Cell:
        """A method minus magnitude."""
        return against_magnitude({self.contest.subject.domain: self.contest}, method)


def steps(setting: Setting) -> Steps[Findings]:
    """Ask everything, then report."""
    changes = {
        subject.domain: profile_facts(cached_profile(setting.base, subject.model)).relative_change
        for subject in setting.subjects
    }
    by_place = yield from contests({"": setting}, (RATE,), SCALES)
    cells = [
        ScaledContest(by_place["", domain, RATE, scale], scale * changes[domain])
        for domain in setting.domains
        for scale in SCALES
    ]
    return Findings((_table(cells),), _plots(cells))


def _table(cells: list[ScaledContest]) -> Table:
    columns = (
        *("domain", "delta|×", "‖d‖/‖W‖", "unpruned|%"),
        *(f"{TITLES[method]}|%" for method in METHODS),
        "DPPA's factors",
        *(f"{TITLES[method]} − magnitude|points" for method in RIVALS),
    )
    rows = (
        row(
            *(cell.contest.subject.name, cell.contest.scale, cell.change),
            *cell.contest.cells(),
            *map(cell.gap, RIVALS),
        )
        for cell in cells
    )
    return table(f"Every delta at five sizes, pruned at {percent(RATE)}", columns, rows)


def _plots(cells: list[ScaledContest]) -> tuple[Chart, ...]:
    ordered = sorted(cells, key=lambda cell: cell.change)
    sizes, labels = ([cell.change for cell in ordered], tuple(cell.label for cell in ordered))
    gaps = {TITLES[method]: [cell.gap(method) for cell in ordered] for method in RIVALS}
    answering = [cell for cell in ordered if cell.unpruned >= LEAST_UNPRUNED]
    kept = tuple(
        Series(
            TITLES[method],
            tuple(cell.change for cell in answering),
            tuple(100 * cell.contest.marks[method].mean / cell.unpruned for cell in answering),
            labels=tuple(cell.label for cell in answering),
        )
        for method in (*RIVALS, "magnitude")  # the others in the colours of the first plot
    )
    offset, of_whole = Axis("‖d‖/‖W‖"), Axis("of unpruned", "%")
    axes = offset, Axis("minus magnitude", "points")
    return (
        Chart.of("scatter", "Against magnitude", axes, sizes, gaps, labels),
        Chart("scatter", "What is kept where half is answered", offset, of_whole, kept),
    )


OFFSETS = declared("offsets", steps)
