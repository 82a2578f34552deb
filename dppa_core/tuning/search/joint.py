"""Joint search: some numbers of a merge chosen together, by few questions.

The numbers are factors, a coefficient, a strength: numbers that multiply, so that steps are
doublings. They depend on each other: a larger coefficient wants smaller factors. A search of one
number after another, such as the paper's climb, follows that valley slowly, and Optuna's sampler
spends most of 24 trials on learning what it looks like. But the loss of the right answers is
smooth near its minimum, and further away it rises by orders of magnitude. So a quadratic is fitted
to the logarithms of the losses known around the best setting; its lowest point within reach is
asked next; the reach halves where that was no better, and doubles where it was better and far away.

For merges by DPPA with two factors and a strength, all entries pruned, of three sets of small
models, 24 settings end 0.2 to 3.5 % above the loss that 96 find at 90 %, and 2 to 32 % at 95 %; 48
end within 2 % (lab/scripts/search_losses.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.errors import InvalidValue
from dppa_core.parameter_fields import check_number

Point = tuple[float, ...]
"""One value for each axis; empty for a setting that the axes cannot tell, such as a recipe given
with other factors for each model."""
Measure = Callable[[Sequence[Point]], Sequence[float]]
"""Scores settings that do not depend on each other, so they may be asked in parallel."""
OBJECTIVES = ("accuracy", "loss")
LOSSES, ACCURACIES, JOINT_ITEMS = 24, 6, 200
"""The default budget: settings by loss, settings by accuracy, search items per domain."""
_EACH = 4
"""Settings for each number, where there are many: two try it alone."""
MOST_SETTINGS = 10_000
_WIDEST, _NARROWEST = 4.0, 1 / 64
_FINEST = 1 / 32
"""Places are multiples of this share of an axis's step."""
_FAR = 4.0
"""Settings within so many times the reach belong to the fit."""
_CHEAP = 3.0
"""How much rather the fit explains a loss by slopes than by curvatures."""
_SMALLEST = 1e-9
"""Smaller losses are taken for this one, so that they have a logarithm."""
_APART = 0.25
"""Settings compared by accuracy differ by so many steps in one number."""


@dataclass(frozen=True, slots=True)
class SearchAxis:
    """One number to choose."""

    name: str
    start: float
    """Above 0."""
    low: float
    high: float
    step: float = 0.5
    """First distance that is tried, in doublings."""

    def __post_init__(self) -> None:
        check_number(self.name, self.start, 1e-9, math.inf)
        if not 0 < self.low <= self.start <= self.high:
            raise InvalidValue(
                f"{self.name}: the start {self.start:g} must lie within its bounds, above 0; got "
                f"{self.low:g} to {self.high:g}."
            )

    def value(self, place: float) -> float:
        """The number at so many steps from the start, in four digits."""
        found = float(f"{self.start * 2 ** (place * self.step):.4g}") if place else self.start
        return min(max(found, self.low), self.high)

    def place(self, value: float) -> float:
        """Steps from the start to a number above 0."""
        return math.log2(value / self.start) / self.step


def usual_settings(axes: Sequence[SearchAxis]) -> int:
    """How many settings a search of so many numbers asks, if nothing else is said."""
    return max(LOSSES, _EACH * len(axes))


@dataclass(frozen=True, slots=True)
class Budget:
    """How many settings may be asked, at most."""

    losses: int = LOSSES
    accuracies: int = ACCURACIES

    def __post_init__(self) -> None:
        for name in ("losses", "accuracies"):
            check_number(f"settings by {name}", getattr(self, name), 1, MOST_SETTINGS)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One setting that was asked."""

    values: Point
    loss: float
    """That of the right answers; infinite for weights that overflow."""
    accuracy: float | None = None
    """Mean retention; None if it was not asked."""


@dataclass(frozen=True, slots=True)
class JointSearch:
    """All settings asked, in order, and the one chosen."""

    axes: tuple[SearchAxis, ...]
    candidates: tuple[Candidate, ...]
    best: Candidate
    """By the objective."""
    by_loss: Candidate
    """The one of least loss."""


def joint_search(
    axes: Sequence[SearchAxis],
    losses: Measure,
    accuracies: Measure,
    *,
    budget: Budget | None = None,
    extra: Sequence[Point] = (),
    objective: str = "accuracy",
) -> JointSearch:
    """Choose the values of all axes together. No setting is asked twice by the same measure.

    The losses decide which settings are compared by accuracy: all if the budget allows; else the
    lowest, the start and `extra`, then the next lowest that differ from these. Equal ones: the
    smaller change of the start.

    Args:
        losses: Losses of settings, lower is better; may be infinite.
        accuracies: Accuracies or retentions of settings, higher is better.
        extra: More first settings; those with a value for each axis may lie outside of the bounds.
        objective: `accuracy`, with the loss between equal ones; or `loss` alone.

    Raises:
        InvalidValue: no axis, no such objective, or a budget below 1.
    """
    budget = budget or Budget()
    if not axes or objective not in OBJECTIVES:
        raise InvalidValue(
            f"A joint search needs an axis at least, and one of the objectives "
            f"{', '.join(OBJECTIVES)}; got {len(axes)} axes and {objective!r}."
        )
    asked = _Asked(tuple(axes), losses, budget.losses)
    start = tuple(axis.start for axis in axes)
    firsts = list(dict.fromkeys([start, *extra]))
    asked.ask([*firsts, *_around(asked, start, 1.0)])
    _descend(asked, 1.0)
    for step in (0.5, 0.25, 0.125, 1.0):  # what is left: the loss may have kinks that no fit shows
        asked.ask(list(_around(asked, min(asked.on_axes(), key=asked.rank), step)))
        _descend(asked, step)
    found = {point: Candidate(point, loss) for point, loss in asked.known.items()}
    compared = _compared(asked, firsts, budget.accuracies)
    for point, accuracy in zip(compared, accuracies(compared), strict=True):
        found[point] = replace(found[point], accuracy=accuracy)

    def rank(one: Candidate) -> tuple[float, ...]:
        return (-(one.accuracy or 0.0), *asked.rank(one.values))

    by_loss = found[min(found, key=asked.rank)]
    best = by_loss if objective == "loss" else min((found[p] for p in compared), key=rank)
    return JointSearch(asked.axes, tuple(found.values()), best, by_loss)


class _Asked:
    """Known losses, and the budget for more of them."""

    def __init__(self, axes: tuple[SearchAxis, ...], losses: Measure, most: int) -> None:
        self.axes, self._losses, self._most = axes, losses, most
        self.known: dict[Point, float] = {}

    @property
    def full(self) -> bool:
        return len(self.known) >= self._most

    def ask(self, points: Sequence[Point]) -> None:
        """Ask the new ones of these, as far as the budget goes."""
        new = [one for one in dict.fromkeys(points) if one not in self.known]
        new = new[: self._most - len(self.known)]
        if new:
            found = (math.inf if math.isnan(loss) else loss for loss in self._losses(new))
            self.known |= zip(new, found, strict=True)

    def places(self, point: Point) -> tuple[float, ...]:
        """Steps from the start; 0 on an axis whose value is 0, which no step reaches."""
        pairs = zip(self.axes, point, strict=True)
        return tuple(axis.place(value) if value > 0 else 0.0 for axis, value in pairs)

    def rank(self, point: Point) -> tuple[float, float]:
        """The smaller loss first; of equal ones the smaller change."""
        change = sum(map(abs, self.places(point))) if point else math.inf
        return self.known[point], round(change, 9)

    def on_axes(self) -> list[Point]:
        """Known settings that steps reach."""
        return [one for one in self.known if one and all(value > 0 for value in one)]


def _around(asked: _Asked, point: Point, step: float) -> Iterator[Point]:
    """A setting with one number changed by so many steps, down and up."""
    for index, axis in enumerate(asked.axes):
        for move in (-step, step):
            values = list(point)
            values[index] = axis.value(asked.places(point)[index] + move)
            yield tuple(values)


def _descend(asked: _Asked, reach: float) -> None:
    """Ask the lowest point of the fitted quadratic until the budget or the reach is spent."""
    while not asked.full and reach >= _NARROWEST:
        here = min(asked.on_axes(), key=asked.rank)
        move = _lowest(_fit(asked, here, reach), len(asked.axes))
        places = np.array(asked.places(here)) + reach * move
        places = np.round(places / _FINEST) * _FINEST
        point = tuple(axis.value(float(p)) for axis, p in zip(asked.axes, places, strict=True))
        known = point in asked.known
        asked.ask([point])
        if known or asked.rank(point) >= asked.rank(here):
            reach /= 2
        elif np.abs(move).max() == 1:
            reach = min(2 * reach, _WIDEST)


Quadratic = Callable[[Float64[ndarray, "m d"]], Float64[ndarray, " m"]]


def _fit(asked: _Asked, here: Point, reach: float) -> Quadratic:
    """A quadratic through the logarithms of the losses around a setting, in units of the reach.

    With fewer settings than coefficients, the one of least curvature: the least-squares solution of
    least norm. Logarithms ten times as far above as the median are cut: an overflow says nothing
    about slopes.
    """
    if math.isinf(asked.known[here]):  # so are all others
        return lambda places: np.zeros(len(places))
    points = asked.on_axes()
    away = (np.array([asked.places(p) for p in points]) - asked.places(here)) / reach
    near = np.abs(away).max(axis=1) <= _FAR
    losses = np.maximum([asked.known[point] for point in points], _SMALLEST)[near]
    above = np.log(losses / max(asked.known[here], _SMALLEST))
    finite = above[np.isfinite(above)]
    above = np.minimum(above, 10 * np.median(finite)) if finite.size else np.zeros_like(above)
    solution = np.linalg.lstsq(_terms(away[near]), above, rcond=1e-8)[0]
    return lambda places: np.asarray(np.round(_terms(places) @ solution, 12))


def _terms(places: Float64[ndarray, "m d"]) -> Float64[ndarray, "m k"]:
    """1, x, x² and xy; cheap terms are scaled up, so that a small coefficient suffices."""
    pairs = [places[:, i] * places[:, j] for i, j in combinations(range(places.shape[1]), 2)]
    columns = [_CHEAP * np.ones(len(places)), *(_CHEAP * places.T), *(places.T**2), *pairs]
    return np.stack(columns, axis=1)


def _lowest(value: Quadratic, axes: int) -> Float64[ndarray, " d"]:
    """Its lowest point on a grid in [-1, 1], by changing two numbers at a time."""
    width = min(axes, 2)
    grid = np.array(list(product(np.arange(-4, 5) / 4, repeat=width)))
    here = np.zeros(axes)
    lowest = float(value(here[None])[0])
    while True:
        tried = np.tile(here, (0, 1))
        for where in combinations(range(axes), width):
            changed = np.tile(here, (len(grid), 1))
            changed[:, where] = grid
            tried = np.concatenate([tried, changed])
        values = value(tried)
        order = np.lexsort((np.abs(tried).sum(axis=1), values))
        if not values[order[0]] < lowest:
            return here
        here, lowest = tried[order[0]], float(values[order[0]])


def _compared(asked: _Asked, firsts: Sequence[Point], most: int) -> list[Point]:
    """Settings to compare by accuracy: the lowest loss, the first ones, then others by loss."""
    ranked = sorted(asked.known, key=asked.rank)
    if most >= len(ranked):
        return ranked
    chosen = list(dict.fromkeys([ranked[0], *(one for one in firsts if one in asked.known)]))
    apart: list[Point] = []
    for point in filter(None, ranked):
        steps = [np.subtract(asked.places(point), asked.places(p)) for p in chosen + apart if p]
        if all(np.abs(one).max() >= _APART for one in steps):
            apart.append(point)
    return [*chosen, *apart][:most]
