"""What marks say: accuracies as cells, differences in words, and random draws together.

Knows marks and intervals; no model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from dppa_core.evaluate_rows import Comparison
from dppa_core.experiments.setting import HARNESS, Setting
from dppa_core.experiments.values import Cell, Column
from dppa_core.intervals import Z95, Interval, difference, ratio, sign_test, wilson
from dppa_core.marks import DomainScore, Marks, TaskScore, marked_score
from dppa_core.tasks import Item, items

ByDomain = Mapping[str, Marks]
"""Domain -> what one model made of its items."""


def share(marks: Marks) -> float:
    """The accuracy, as a fraction."""
    return sum(marks.hits) / len(marks.hits)


def mean_share(marks: ByDomain) -> float:
    """The mean of the domains' accuracies, as a fraction."""
    return sum(map(share, marks.values())) / len(marks)


def columns_by(what: str, setting: Setting) -> tuple[Column, ...]:
    """Of a table by some variant and rate: accuracy of each subject, and their mean retention."""
    subjects = (Column(one.name, "%") for one in setting.subjects)
    return (Column(what), Column("pruned", "%"), *subjects, Column("mean retention", "%"))


def accuracy(marks: Marks) -> Cell:
    """In per cent, with Wilson's interval."""
    right, n = sum(marks.hits), len(marks.hits)
    low, high = wilson(right, n)
    return Cell(100 * right / n, 100 * low, 100 * high, n)


def retained(marks: ByDomain, own: ByDomain) -> Cell:
    """Geometric mean of accuracy ÷ the domain model's own, in per cent; bootstrap over items."""
    pairs = {domain: (marks[domain].hits, own[domain].hits) for domain in marks}
    found = ratio(pairs)
    if found is None:
        return Cell(None, note="a domain model answers nothing")
    n = sum(len(one) for one, _ in pairs.values())
    return Cell(100 * found.value, 100 * found.low, 100 * found.high, n)


def scored(setting: Setting, domain: str, split: str, marks: Marks) -> DomainScore:
    """Marks as a score by task."""
    if domain.startswith(HARNESS):
        n = len(marks.hits)
        low, high = wilson(sum(marks.hits), n)
        return DomainScore(share(marks), (low, high), n, {domain: TaskScore(share(marks), n)})
    limit = setting.search if split == "search" else setting.test
    return marked_score(_items(domain, split, limit), marks)


@cache
def _items(domain: str, split: str, limit: int | None) -> tuple[Item, ...]:
    """Drawn once: a climb asks for them at every step."""
    return items(domain, split, limit)


def loss(marks: ByDomain) -> float:
    """Mean over the domains of the right answers' loss, nats a token; 0 where none was measured."""
    each = [sum(one.losses) / sum(one.tokens) for one in marks.values() if one.losses]
    return sum(each) / len(each) if each else 0.0


def compared(one: ByDomain, other: ByDomain) -> Comparison:
    """One merge against another on the same items, the domains counting equally."""
    pairs = {domain: (one[domain].hits, other[domain].hits) for domain in one}
    differs = sum(a != b for pair in pairs.values() for a, b in zip(*pair, strict=True))
    n = sum(len(hits) for hits, _ in pairs.values())
    return Comparison(difference(pairs), sign_test(pairs), differs, n)


@dataclass(frozen=True, slots=True)
class Draws:
    """Several random draws of one method, all asked the same items."""

    marks: tuple[Marks, ...]
    """At least one."""

    @property
    def shares(self) -> tuple[float, ...]:
        """The accuracy of each draw, as a fraction."""
        return tuple(map(share, self.marks))

    @property
    def mean(self) -> float:
        """Of the draws, as a fraction."""
        return sum(self.shares) / len(self.marks)

    def cell(self) -> Cell:
        """Their mean in per cent; the interval is of items and draws, the spread is in the note.

        A single one has Wilson's interval, and no note.
        """
        if len(self.marks) == 1:
            return accuracy(self.marks[0])
        half = Z95 * math.sqrt(self.variance())
        low, high = (100 * max(0.0, self.mean - half), 100 * min(1.0, self.mean + half))
        spread = f"{100 * min(self.shares):.1f}–{100 * max(self.shares):.1f}"
        n = len(self.marks[0].hits)
        return Cell(100 * self.mean, low, high, n, f"{len(self.marks)} draws: {spread}")

    def variance(self, other: Marks | None = None) -> float:
        """Of the mean, or of the difference from another's: that of items and that of draws."""
        each = np.array([one.hits for one in self.marks], np.float64)
        by_item = each.mean(0) - (0.0 if other is None else np.array(other.hits, np.float64))
        found = float(by_item.var(ddof=1)) / by_item.size if by_item.size > 1 else 0.0
        shares = each.mean(1)
        if shares.size > 1:
            found += float(shares.var(ddof=1)) / shares.size
        return found


def against_draws(one: ByDomain, draws: Mapping[str, Draws]) -> Interval:
    """Mean accuracy of a merge minus that of random draws, as a fraction.

    The interval is that of the mean of the items' differences, with the variance between draws
    added: another five draws would have another mean.
    """
    value = sum(share(one[d]) - draws[d].mean for d in one) / len(one)
    half = Z95 * math.sqrt(sum(draws[d].variance(one[d]) for d in one)) / len(one)
    return Interval(value, value - half, value + half)
