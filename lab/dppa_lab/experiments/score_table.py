"""Marks as table cells: accuracies, retentions, differences, random draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dppa_core.evaluation import side_by_side
from dppa_core.evaluation.scores import Marks
from dppa_core.evaluation.side_by_side import Comparison
from dppa_core.evaluation.tables import Cell, Column
from dppa_core.tasks import intervals
from dppa_core.tasks.intervals import (
    Z95,
    Interval,
    VariancePart,
    ratio,
    reach,
)
from dppa_lab.experiments.setting import Setting

ByDomain = Mapping[str, Marks]
"""Domain -> marks of one model."""


def share(marks: Marks) -> float:
    """The accuracy, as a fraction."""
    return sum(marks.hits) / len(marks.hits)


def mean_share(marks: ByDomain) -> float:
    """Mean of the domains' accuracies, as a fraction."""
    return sum(map(share, marks.values())) / len(marks)


def columns_by(what: str, setting: Setting) -> tuple[Column, ...]:
    """Columns of a table by variant and rate: accuracy of each subject, and mean retention."""
    subjects = (Column(one.name, "%") for one in setting.subjects)
    return (Column(what), Column("pruned", "%"), *subjects, Column("mean retention", "%"))


def accuracy(marks: Marks) -> Cell:
    """Accuracy in per cent, with Wilson's interval."""
    return points(intervals.accuracy(marks.hits), len(marks.hits))


def retained(marks: ByDomain, own: ByDomain) -> Cell:
    """Geometric mean of accuracy ÷ the domain model's own, in per cent; bootstrap over items."""
    pairs = {domain: (marks[domain].hits, own[domain].hits) for domain in marks}
    found = ratio(pairs)
    if found is None:
        return Cell(None, note="a domain model answers nothing")
    return points(found, sum(len(one) for one, _ in pairs.values()))


def loss(marks: ByDomain) -> float:
    """Mean over the domains of the right answers' loss, in nats per token; 0 if not measured."""
    each = [sum(one.losses) / sum(one.tokens) for one in marks.values() if one.losses]
    return sum(each) / len(each) if each else 0.0


def compared(one: ByDomain, other: ByDomain) -> Comparison:
    """One merge against another on the same items, with equal weight for each domain."""
    return side_by_side.compared({d: (one[d].hits, other[d].hits) for d in one})


@dataclass(frozen=True, slots=True)
class RatedMarks:
    """Marks of every domain model on its own domain, and by kind, rate and domain."""

    own: dict[str, Marks]
    marks: dict[tuple[str, float, str], Marks]

    def at(self, kind: str, rate: float) -> dict[str, Marks]:
        """Domain -> marks."""
        return {domain: self.marks[kind, rate, domain] for domain in self.own}

    def kept(self, kind: str, rate: float) -> Cell:
        """Retention over all domains."""
        return retained(self.at(kind, rate), self.own)

    def gain(self, one: str, other: str, rate: float) -> Comparison:
        """One kind against another, over all domains."""
        return compared(self.at(one, rate), self.at(other, rate))


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
        note = _spread([100 * one for one in self.shares])
        return Cell(100 * self.mean, low, high, len(self.marks[0].hits), note)

    def parts(self, other: Marks | None = None) -> list[VariancePart]:
        """Variance of the mean, or of the difference from `other`: parts of items and draws."""
        return [*self.of_items(other), *_of_draws(self.shares)]

    def of_items(self, other: Marks | None = None) -> list[VariancePart]:
        """Variance part from the sample of items."""
        by_item = np.array([one.hits for one in self.marks], np.float64).mean(0)
        by_item -= 0.0 if other is None else np.array(other.hits, np.float64)
        n = by_item.size
        return [VariancePart(float(by_item.var(ddof=1)) / n, n - 1)] if n > 1 else []


def _of_draws(values: Sequence[float]) -> list[VariancePart]:
    n = len(values)
    return [VariancePart(float(np.var(values, ddof=1)) / n, n - 1)] if n > 1 else []


def _spread(values: Sequence[float]) -> str:
    return f"{len(values)} draws: {min(values):.1f}–{max(values):.1f}"


def against_draws(one: ByDomain, draws: Mapping[str, Draws], *, together: bool = False) -> Interval:
    """Mean accuracy of a merge minus that of random draws, as a fraction.

    The interval covers the mean of the items' differences and the variance between draws.

    Args:
        together: Whether a draw is one merge for all domains, not one per domain.
    """
    value = sum(share(one[d]) - draws[d].mean for d in one) / len(one)
    found = [part for d in one for part in draws[d].of_items(one[d])]
    if not together:
        found += [part for d in one for part in _of_draws(draws[d].shares)]
    parts = [VariancePart(part.variance / len(one) ** 2, part.freedom) for part in found]
    if together:
        each = zip(*(draws[d].shares for d in one), strict=True)
        parts += _of_draws([sum(shares) / len(one) for shares in each])
    half = reach(parts)
    return Interval(value, value - half, value + half)


def mean_retained(each: Sequence[ByDomain], own: ByDomain) -> Cell:
    """Retention in per cent; several draws give their mean, with their spread in the note."""
    cells = [retained(marks, own) for marks in each]
    known = [cell for cell in cells if isinstance(cell.value, float)]
    if len(cells) == 1 or len(known) < len(cells):
        return cells[0]
    values = [float(cell.value or 0.0) for cell in known]
    errors = [((cell.high or 0.0) - (cell.low or 0.0)) / (2 * Z95) for cell in known]
    n = cells[0].n or 0
    items = VariancePart(sum(error**2 for error in errors) / len(errors), max(1, n - 1))
    half, value = reach([items, *_of_draws(values)]), sum(values) / len(values)
    return Cell(value, max(0.0, value - half), value + half, n, _spread(values))


def points(found: Comparison | Interval, n: int | None = None) -> Cell:
    """A share in per cent, or a difference in points, with its interval."""
    one = found.difference if isinstance(found, Comparison) else found
    return Cell(100 * one.value, 100 * one.low, 100 * one.high, n)


def pruned(rate: float) -> str:
    """A pruning rate in per cent, with all its digits."""
    return f"{100 * rate:g} %"


def flipped(found: Interval) -> Interval:
    """The difference with its sign reversed."""
    return Interval(-found.value, -found.high, -found.low)


def lasting(seconds: float) -> str:
    """A time in minutes from 90 seconds on, in seconds below."""
    return f"{seconds / 60:.1f} minutes" if seconds >= 90 else f"{seconds:.0f} s"
