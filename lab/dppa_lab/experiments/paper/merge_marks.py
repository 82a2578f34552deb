"""The marks of experiment 3, its table and its plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dppa_core.charts.plots import Axis, Chart, Series
from dppa_core.charts.tables import Cell, Table, capital
from dppa_core.evaluation.scores import Marks
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_lab.experiments.score_table import (
    Draws,
    against_draws,
    compared,
    flipped,
    mean_retained,
    points,
    pruned,
    row,
    table,
)

TITLES = {"dppa": "DPPA", "dare": "DARE", "ties": "TIES", "task_arithmetic": "task arithmetic"}
REFERENCE = "dppa"


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge with its marks on all its domains."""

    method: str
    rate: float
    """0: nothing is pruned."""
    tuned: bool
    """True if its coefficients are AdaMerging's."""
    coefficients: str
    """How the coefficients were chosen, in a few words."""
    recipe: MergeRecipe
    draws: Mapping[str, Draws]
    """Domain -> draws; one for a deterministic method."""

    @property
    def name(self) -> str:
        """Its name in tables."""
        return TITLES[self.method] + (", AdaMerging" if self.tuned else "")

    @property
    def first(self) -> dict[str, Marks]:
        """Domain -> marks of the first draw."""
        return {domain: draws.marks[0] for domain, draws in self.draws.items()}

    @property
    def drawn(self) -> int:
        """Number of draws."""
        return max(len(draws.marks) for draws in self.draws.values())

    def against(self, reference: Merge | None) -> Cell:
        """Difference from the first draw of another merge of the same models, in points.

        All of its own draws count if it has several and the other method differs.
        """
        if reference is None or reference is self:
            return Cell(None)
        if self.drawn > 1 and reference.method != self.method:
            return points(flipped(against_draws(reference.first, self.draws, together=True)))
        return points(compared(self.first, reference.first))


@dataclass(frozen=True, slots=True)
class MergesMeasured:
    """All merges of the experiment."""

    unpruned: Mapping[str, Marks]
    """Marks of each merged domain model on its own domain."""
    merges: tuple[Merge, ...]

    @property
    def named(self) -> str:
        """The merged domains."""
        return " + ".join(domain.rpartition(":")[2] for domain in self.unpruned)

    def rates(self) -> list[float]:
        """The pruning rates above 0, ascending."""
        return sorted({merge.rate for merge in self.merges if merge.rate})

    def merge_of(self, method: str, rate: float, tuned: bool) -> Merge | None:
        """One merge, or None; merges of whole deltas match every rate."""
        for merge in self.merges:
            if merge.method == method and merge.tuned == tuned and merge.rate in (rate, 0.0):
                return merge
        return None

    def kept(self, merge: Merge) -> Cell:
        """Mean retention in per cent; of several draws the mean of theirs."""
        marks = [
            {domain: draws.marks[place] for domain, draws in merge.draws.items()}
            for place in range(merge.drawn)
        ]
        return mean_retained(marks, self.unpruned)


def merges_table(measured: MergesMeasured) -> Table:
    """Every merge beside DPPA and beside itself without AdaMerging."""
    rates = measured.rates()
    columns = (
        *("merge", "pruned|%", "coefficient|×"),
        *(f"{domain.rpartition(':')[2]}|%" for domain in measured.unpruned),
        *("mean retention|%", *(f"minus DPPA at {pruned(rate)}|points" for rate in rates)),
        "minus the same with one coefficient|points",
    )
    rows = []
    for merge in sorted(measured.merges, key=lambda merge: merge.rate):
        references = [
            measured.merge_of(REFERENCE, rate, merge.tuned) if merge.rate in (rate, 0.0) else None
            for rate in rates
        ]
        before = measured.merge_of(merge.method, merge.rate, False) if merge.tuned else None
        rows.append(
            row(
                *(merge.name, 100 * merge.rate, merge.coefficients),
                *(draws.cell() for draws in merge.draws.values()),
                measured.kept(merge),
                *map(merge.against, (*references, before)),
                recipe=merge.recipe,
            )
        )
    return table(f"{measured.named}, test items", columns, rows)


def merges_plot(measured: MergesMeasured) -> Chart:
    """Mean retention by method, a series for each rate with and without AdaMerging."""
    series = []
    for rate in measured.rates():
        for tuned in (False, True):
            places = [
                (title, merge)
                for method, title in TITLES.items()
                if (merge := measured.merge_of(method, rate, tuned)) is not None
            ]
            name = f"{pruned(rate)}{', AdaMerging' if tuned else ''}"
            kept = (measured.kept(merge) for _, merge in places)
            series.append(Series.of(name, (title for title, _ in places), kept))
    axes = Axis("method"), Axis("mean retention", "%")
    return Chart("bars", f"{capital(measured.named)} in one model", *axes, tuple(series))
