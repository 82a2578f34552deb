"""A joint search on two measures: many settings by loss, some of them by accuracy, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dppa_core.errors import InvalidValue
from dppa_core.tuning.search.axes import Point, SearchAxis
from dppa_core.tuning.search.joint import LossTable

LOSSES, ACCURACIES = 24, 6
"""The usual budget."""
_MIN_STEPS_APART = 0.25
"""Settings compared by accuracy differ by so many steps in one number."""
Measure = Callable[[Sequence[Point]], Sequence[float]]
"""Scores settings that do not depend on each other."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How many settings may be asked, at most."""

    losses: int = LOSSES
    accuracies: int = ACCURACIES

    def __post_init__(self) -> None:
        if min(self.losses, self.accuracies) < 1:
            raise InvalidValue(
                f"A joint search asks at least one setting by each measure; got {self.losses} by "
                f"loss and {self.accuracies} by accuracy."
            )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One setting that was asked."""

    values: Point
    loss: float
    """Of the right answers; infinite for weights that overflow."""
    accuracy: float | None = None
    """Mean retention; None if it was not asked."""


@dataclass(frozen=True, slots=True)
class JointSearch:
    """All settings asked, in order, and the one chosen."""

    candidates: tuple[Candidate, ...]
    best: Candidate
    """The most accurate one; of equal ones that of the smaller loss."""
    by_loss: Candidate
    """The one of least loss."""


def joint_search(
    axes: Sequence[SearchAxis],
    losses: Measure,
    accuracies: Measure,
    budget: Budget,
    extra: Sequence[Point] = (),
) -> JointSearch:
    """Choose the values of all axes together. No setting is asked twice by the same measure.

    The losses decide which settings are compared by accuracy: all if the budget allows; else the
    lowest and the start, then the next lowest that differ from these. Equal ones: the smaller
    change of the start.

    Args:
        losses: Losses of settings, lower is better; may be infinite.
        accuracies: Accuracies or retentions of settings, higher is better.
        extra: Settings to ask after the start.
    """
    table = LossTable(axes, budget.losses)
    steps = table.descend(extra)
    points = next(steps, None)
    while points:
        measured = losses(points)
        try:
            points = steps.send(measured)
        except StopIteration:
            break
    compared = _compared(table, budget.accuracies)
    by_accuracy = dict(zip(compared, accuracies(compared), strict=True))
    candidates = {
        point: Candidate(point, loss, by_accuracy.get(point))
        for point, loss in table.losses.items()
    }
    by_loss = candidates[min(candidates, key=table.rank)]
    return JointSearch(tuple(candidates.values()), candidates[table.best(by_accuracy)], by_loss)


def _compared(table: LossTable, most: int) -> list[Point]:
    """Settings to compare by accuracy: the lowest loss, the start, then others by loss."""
    ranked = sorted(table.losses, key=table.rank)
    if most >= len(ranked):
        return ranked
    first = list(dict.fromkeys([ranked[0], next(iter(table.losses))]))
    apart: list[Point] = []
    for point in ranked:
        steps = [np.subtract(table.places(point), table.places(p)) for p in first + apart]
        if all(np.abs(step).max() >= _MIN_STEPS_APART for step in steps):
            apart.append(point)
    return [*first, *apart][:most]
