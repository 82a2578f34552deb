"""Marks as table cells: accuracies, retentions, differences, random draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dppa_core.charts.tables import Cell, Column, Row, Table
from dppa_core.evaluation import side_by_side
from dppa_core.evaluation.scores import Marks
from dppa_core.evaluation.side_by_side import Comparison
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe
from dppa_core.tasks import intervals
from dppa_core.tasks.intervals import Z95, Interval, VariancePart, ratio, reach

ByDomain = Mapping[str, Marks]
"""Domain -> marks of one model."""


def table(title: str, columns: Iterable[str], rows: Iterable[Row]) -> Table:
    """A table; a column is its title, and its unit behind a bar: `pruned|%`."""
    heads = (column.partition("|")[::2] for column in columns)
    return Table(title, tuple(Column(*head) for head in heads), tuple(rows))


def row(*cells: Cell | float | str | None, recipe: MergeRecipe | str | None = None) -> Row:
    """A row of cells, or of numbers and texts without intervals; its recipe may be YAML."""
    wrapped = (cell if isinstance(cell, Cell) else Cell(cell) for cell in cells)
    text = dump_recipe(recipe) if isinstance(recipe, MergeRecipe) else recipe
    return Row(tuple(wrapped), text)


def share(marks: Marks) -> float:
    """The accuracy, as a fraction."""
    return sum(marks.hits) / len(marks.hits)


def mean_share(marks: ByDomain) -> float:
    """Mean of the domains' accuracies, as a fraction."""
    return sum(map(share, marks.values())) / len(marks)


def accuracy(marks: Marks) -> Cell:
    """Accuracy in per cent, with Wilson's interval."""
    return points(intervals.accuracy(marks.hits), len(marks.hits))


def retained(marks: ByDomain, unpruned: ByDomain) -> Cell:
    """Geometric mean of accuracy ÷ the domain model's own, in per cent; bootstrap over items."""
    pairs = {domain: (marks[domain].hits, unpruned[domain].hits) for domain in marks}
    kept = ratio(pairs)
    if kept is None:
        return Cell(None, note="a domain model answers nothing")
    return points(kept, sum(len(hits) for hits, _ in pairs.values()))


def loss(marks: ByDomain) -> float:
    """Mean over the domains of the right answers' loss, in nats per token; 0 if not measured."""
    by_domain = [
        sum(answers.losses) / sum(answers.tokens) for answers in marks.values() if answers.losses
    ]
    return sum(by_domain) / len(by_domain) if by_domain else 0.0


def compared(marks: ByDomain, reference: ByDomain) -> Comparison:
    """One merge against another on the same items, with equal weight for each domain."""
    return side_by_side.compared({d: (marks[d].hits, reference[d].hits) for d in marks})


@dataclass(frozen=True, slots=True)
class Draws:
    """Marks of several random draws of one method on the same items."""

    marks: tuple[Marks, ...]
    """At least one."""

    @property
    def shares(self) -> tuple[float, ...]:
        """The accuracy of each draw, as a fraction."""
        return tuple(map(share, self.marks))

    @property
    def mean(self) -> float:
        """Mean accuracy of the draws, as a fraction."""
        return sum(self.shares) / len(self.marks)

    def cell(self) -> Cell:
        """Mean accuracy in per cent; the interval covers items and draws, for one draw Wilson's."""
        if len(self.marks) == 1:
            return accuracy(self.marks[0])
        half = reach(self.parts())
        low, high = (100 * max(0.0, self.mean - half), 100 * min(1.0, self.mean + half))
        note = _spread([100 * part for part in self.shares])
        return Cell(100 * self.mean, low, high, len(self.marks[0].hits), note)

    def parts(self, reference: Marks | None = None) -> list[VariancePart]:
        """Variance of the mean, or of the difference from `other`: parts of items and draws."""
        return [*self.of_items(reference), *_of_draws(self.shares)]

    def of_items(self, reference: Marks | None = None) -> list[VariancePart]:
        """Variance part from the sample of items."""
        by_item = np.array([marks.hits for marks in self.marks], np.float64).mean(0)
        by_item -= 0.0 if reference is None else np.array(reference.hits, np.float64)
        n = by_item.size
        return [VariancePart(float(by_item.var(ddof=1)) / n, n - 1)] if n > 1 else []


def _of_draws(values: Sequence[float]) -> list[VariancePart]:
    n = len(values)
    return [VariancePart(float(np.var(values, ddof=1)) / n, n - 1)] if n > 1 else []


def _spread(values: Sequence[float]) -> str:
    return f"{len(values)} draws: {min(values):.1f}–{max(values):.1f}"


def against_draws(
    marks: ByDomain, draws: Mapping[str, Draws], *, together: bool = False
) -> Interval:
    """Mean accuracy of a merge minus that of random draws, as a fraction.

    The interval covers the mean of the items' differences and the variance between draws.

    Args:
        together: Whether a draw is one merge for all domains, not one per domain.
    """
    value = sum(share(marks[d]) - draws[d].mean for d in marks) / len(marks)
    item_parts = [part for d in marks for part in draws[d].of_items(marks[d])]
    if not together:
        item_parts += [part for d in marks for part in _of_draws(draws[d].shares)]
    parts = [VariancePart(part.variance / len(marks) ** 2, part.freedom) for part in item_parts]
    if together:
        by_draw = zip(*(draws[d].shares for d in marks), strict=True)
        parts += _of_draws([sum(shares) / len(marks) for shares in by_draw])
    half = reach(parts)
    return Interval(value, value - half, value + half)


def mean_retained(several: Sequence[ByDomain], unpruned: ByDomain) -> Cell:
    """Retention in per cent; several draws give their mean, with their spread in the note."""
    cells = [retained(marks, unpruned) for marks in several]
    numbers = [cell for cell in cells if isinstance(cell.value, float)]
    if len(cells) == 1 or len(numbers) < len(cells):
        return cells[0]
    values = [float(cell.value or 0.0) for cell in numbers]
    errors = [((cell.high or 0.0) - (cell.low or 0.0)) / (2 * Z95) for cell in numbers]
    n = cells[0].n or 0
    items = VariancePart(sum(error**2 for error in errors) / len(errors), max(1, n - 1))
    half, value = reach([items, *_of_draws(values)]), sum(values) / len(values)
    return Cell(value, max(0.0, value - half), value + half, n, _spread(values))


def points(measured: Comparison | Interval, n: int | None = None) -> Cell:
    """A share in per cent, or a difference in points, with its interval."""
    difference = measured.difference if isinstance(measured, Comparison) else measured
    return Cell(100 * difference.value, 100 * difference.low, 100 * difference.high, n)


def pruned(rate: float) -> str:
    """A pruning rate in per cent, with all its digits."""
    return f"{100 * rate:g} %"


def flipped(difference: Interval) -> Interval:
    """The difference with its sign reversed."""
    return Interval(-difference.value, -difference.high, -difference.low)


def lasting(seconds: float) -> str:
    """A time in minutes from 90 seconds on, in seconds below."""
    return f"{seconds / 60:.1f} minutes" if seconds >= 90 else f"{seconds:.0f} s"
