"""The marks of experiment 3, its table and its plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dppa_core.charts.report import Axis, Chart, Series
from dppa_core.evaluation.scores import Marks
from dppa_core.evaluation.side_by_side import Comparison
from dppa_core.evaluation.tables import Cell, Column, Row, Table, capital
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe
from dppa_core.tasks.intervals import Interval
from dppa_lab.experiments.score_table import (
    Draws,
    against_draws,
    compared,
    flipped,
    mean_retained,
    points,
    pruned,
)

TITLES = {"dppa": "DPPA", "dare": "DARE", "ties": "TIES", "task_arithmetic": "task arithmetic"}
STEPS = 20
"""Of AdaMerging: few long ones, a minute, instead of the paper's 500 of 0.001, ten minutes."""
REFERENCE = "dppa"


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge with its marks on all its domains."""

    method: str
    rate: float
    """0: nothing is pruned."""
    tuned: bool
    """Whether its coefficients are AdaMerging's."""
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

    def against(self, other: Merge) -> Comparison | Interval:
        """Comparison with the first draw of another merge of the same models.

        All of its own draws count if it has several and the other method differs.
        """
        if self.drawn > 1 and other.method != self.method:
            return flipped(against_draws(other.first, self.draws, together=True))
        return compared(self.first, other.first)


@dataclass(frozen=True, slots=True)
class MergesMeasured:
    """All merges of the experiment."""

    own: Mapping[str, Marks]
    """Marks of each merged domain model on its own domain."""
    merges: tuple[Merge, ...]

    @property
    def named(self) -> str:
        """The merged domains."""
        return " + ".join(domain.rpartition(":")[2] for domain in self.own)

    def rates(self) -> list[float]:
        """The pruning rates above 0, ascending."""
        return sorted({one.rate for one in self.merges if one.rate})

    def of(self, method: str, rate: float, tuned: bool) -> Merge | None:
        """One merge, or None; merges of whole deltas match every rate."""
        for one in self.merges:
            if one.method == method and one.tuned == tuned and one.rate in (rate, 0.0):
                return one
        return None

    def kept(self, one: Merge) -> Cell:
        """Mean retention in per cent; of several draws the mean of theirs."""
        each = [
            {domain: draws.marks[place] for domain, draws in one.draws.items()}
            for place in range(one.drawn)
        ]
        return mean_retained(each, self.own)


def merges_table(found: MergesMeasured) -> Table:
    columns = (
        Column("merge"),
        Column("pruned", "%"),
        Column("coefficient", "×"),
        *(Column(domain.rpartition(":")[2], "%") for domain in found.own),
        Column("mean retention", "%"),
        *(Column(f"minus DPPA at {pruned(rate)}", "points") for rate in found.rates()),
        Column("minus the same with one coefficient", "points"),
    )
    rows = []
    for one in sorted(found.merges, key=lambda one: one.rate):
        scores = [of.cell() for of in one.draws.values()]
        references = [
            found.of(REFERENCE, rate, one.tuned) if one.rate in (rate, 0.0) else None
            for rate in found.rates()
        ]
        before = found.of(one.method, one.rate, False) if one.tuned else None
        rows.append(
            Row(
                (
                    Cell(one.name),
                    Cell(100 * one.rate),
                    Cell(one.coefficients),
                    *scores,
                    found.kept(one),
                    *(_gap(one, reference) for reference in references),
                    _gap(one, before),
                ),
                dump_recipe(one.recipe),
            )
        )
    return Table(f"{found.named}, test items", columns, tuple(rows))


def _gap(one: Merge, other: Merge | None) -> Cell:
    if other is None or other is one:
        return Cell(None)
    return points(one.against(other))


def merges_plot(found: MergesMeasured) -> Chart:
    series = []
    for rate in found.rates():
        for tuned in (False, True):
            places = [
                (title, one)
                for method, title in TITLES.items()
                if (one := found.of(method, rate, tuned)) is not None
            ]
            name = f"{pruned(rate)}{', AdaMerging' if tuned else ''}"
            kept = (found.kept(one) for _, one in places)
            series.append(Series.of(name, (title for title, _ in places), kept))
    return Chart(
        "bars",
        f"{capital(found.named)} in one model",
        Axis("method"),
        Axis("mean retention", "%"),
        tuple(series),
    )
