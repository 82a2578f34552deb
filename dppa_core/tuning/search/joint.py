"""Joint search: some numbers of a merge chosen together, by few questions.

The numbers are factors, a coefficient, a strength: numbers that multiply, so that steps are
doublings. They depend on each other: a larger coefficient wants smaller factors. A search of one
number after another, such as the paper's climb, follows that valley slowly, and Optuna's sampler
spends most of 24 trials on learning what it looks like. But the loss of the right answers is
smooth near its minimum, and further away it rises by orders of magnitude. So a quadratic is fitted
to the logarithms of the losses known around the best setting; its lowest point within reach is
asked next; the reach halves where that was no better, and doubles where it was better and far away.

A number that has no effect at some value, as the strength at 0, makes the search contain that of a
simpler method: half of the budget goes to it first, if that suffices, and the rest starts from its
best.

For merges by DPPA with two factors and a strength, all entries pruned, of three sets of small
models, 24 settings end 0.2 to 3.5 % above the loss that 96 find at 90 %, and 2 to 32 % at 95 %; 48
end within 2 % (lab/scripts/search_losses.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import combinations, product
from typing import Literal

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.tuning.search.axes import Point, SearchAxis

Steps = Generator[Sequence[Point], Sequence[float], None]
"""A search as a generator: it yields new settings that do not depend on each other, so they may be
asked in parallel, and is sent their scores, or their losses, which may be infinite."""
OBJECTIVES = ("accuracy", "loss")
USUAL_SETTINGS, JOINT_ITEMS = 24, 200
"""The default budget: settings, and search items per domain."""
_SETTINGS_PER_NUMBER = 4
"""Settings for each number, where there are many: two try it alone."""
_SETTINGS_OF_SIMPLER = 3
"""Settings for each number of a simpler method; with fewer it is not searched apart."""
MOST_SETTINGS = 10_000
_MAX_REACH, _MIN_REACH = 4.0, 1 / 64
_PLACE_STEP = 1 / 32
"""Places are multiples of this share of an axis's step."""
_FIT_REACHES = 4.0
"""Settings within so many times the reach belong to the fit."""
_CHEAP_TERM_SCALE = 3.0
"""How much rather the fit explains a loss by slopes than by curvatures."""
_MIN_LOSS = 1e-9
"""Smaller losses are taken for this one, so that they have a logarithm."""


def usual_settings(axes: Sequence[SearchAxis]) -> int:
    """Default number of settings of a search of so many numbers."""
    return max(USUAL_SETTINGS, _SETTINGS_PER_NUMBER * len(axes))


class LossTable:
    """The losses of a joint search's settings, in the order of asking; at most `most` of them."""

    def __init__(self, axes: Sequence[SearchAxis], most: int) -> None:
        self.axes, self._most = tuple(axes), most
        self.losses: dict[Point, float] = {}

    def descend(self, extra: Sequence[Point] = ()) -> Steps:
        """Ask settings of ever lower losses, until the budget is spent.

        Args:
            extra: Settings to ask after the start; they may lie outside of the bounds.
        """
        start = tuple(axis.start for axis in self.axes)
        yield from self.ask([start, *extra])
        left, shared = self._most - len(self.losses), sum(a.absent is None for a in self.axes)
        if 0 < shared < len(self.axes) and left // 2 >= _SETTINGS_OF_SIMPLER * shared:
            start = yield from self._from_simpler()
        yield from self.ask([start, *_around(self, start, 1.0)])
        yield from _descend(self, 1.0)
        for step in (0.5, 0.25, 0.125, 1.0):  # the rest: the loss may have kinks that no fit shows
            lowest = min(self.on_axes(), key=self.rank)
            yield from self.ask(list(_around(self, lowest, step)))
            yield from _descend(self, step)

    def _from_simpler(self) -> Generator[Sequence[Point], Sequence[float], Point]:
        """Search without the numbers that may be absent; returns its best, with their starts."""
        most = (self._most - len(self.losses)) // 2
        simple = LossTable([axis for axis in self.axes if axis.absent is None], most)
        steps, points = simple.descend(), None
        with suppress(StopIteration):
            points = next(steps)
            while not self.full:
                full = [self._with(point, "absent") for point in points]
                yield from self.ask(full)
                points = steps.send([self.losses.get(point, math.inf) for point in full])
        return self._with(min(simple.losses, key=simple.rank), "start")

    def _with(self, point: Point, field: Literal["absent", "start"]) -> Point:
        """A setting of the simpler search, with that value of the other axes."""
        values = iter(point)
        return tuple(
            next(values) if axis.absent is None else float(getattr(axis, field))
            for axis in self.axes
        )

    @property
    def full(self) -> bool:
        """True if the budget is spent."""
        return len(self.losses) >= self._most

    def ask(self, points: Sequence[Point]) -> Steps:
        """Ask the new ones of these, as far as the budget goes."""
        new = [point for point in dict.fromkeys(points) if point not in self.losses]
        new = new[: self._most - len(self.losses)]
        if new:
            losses = yield new
            numbers = (math.inf if math.isnan(loss) else loss for loss in losses)
            self.losses |= zip(new, numbers, strict=True)

    def places(self, point: Point) -> tuple[float, ...]:
        """Steps from the start; an absent number lies a step below its bound."""
        pairs = zip(self.axes, point, strict=True)
        return tuple(
            axis.place(axis.low) - 1
            if value == axis.absent
            else axis.place(value)
            if value > 0
            else 0.0
            for axis, value in pairs
        )

    def rank(self, point: Point) -> tuple[float, float]:
        """The smaller loss first; of equal ones the smaller change."""
        change = sum(map(abs, self.places(point))) if point else math.inf
        return self.losses[point], round(change, 9)

    def best(self, accuracies: Mapping[Point, float]) -> Point:
        """The most accurate setting; of equal ones the first by `rank`."""
        return min(accuracies, key=lambda point: (-accuracies[point], *self.rank(point)))

    def on_axes(self) -> list[Point]:
        """Known settings that steps reach."""
        return [point for point in self.losses if point and all(value > 0 for value in point)]


def _around(table: LossTable, point: Point, step: float) -> Iterator[Point]:
    """A setting with one number changed by so many steps, down and up."""
    for index, axis in enumerate(table.axes):
        for move in (-step, step):
            values = list(point)
            values[index] = axis.value(table.places(point)[index] + move)
            yield tuple(values)


def _descend(table: LossTable, reach: float) -> Steps:
    """Ask the lowest point of the fitted quadratic until the budget or the reach is spent."""
    while not table.full and reach >= _MIN_REACH:
        center = min(table.on_axes(), key=table.rank)
        move = _lowest(_fit(table, center, reach), len(table.axes))
        places = np.array(table.places(center)) + reach * move
        places = np.round(places / _PLACE_STEP) * _PLACE_STEP
        point = tuple(axis.value(float(p)) for axis, p in zip(table.axes, places, strict=True))
        repeated = point in table.losses
        yield from table.ask([point])
        if repeated or table.rank(point) >= table.rank(center):
            reach /= 2
        elif np.abs(move).max() == 1:
            reach = min(2 * reach, _MAX_REACH)


Quadratic = Callable[[Float64[ndarray, "m d"]], Float64[ndarray, " m"]]


def _fit(table: LossTable, center: Point, reach: float) -> Quadratic:
    """A quadratic through the logarithms of the losses around a setting, in units of the reach.

    With fewer settings than coefficients, the one of least curvature: the least-squares solution of
    least norm. Logarithms ten times as far above as the median are cut: an overflow says nothing
    about slopes.
    """
    if math.isinf(table.losses[center]):  # so are all others
        return lambda places: np.zeros(len(places))
    points = table.on_axes()
    away = (np.array([table.places(p) for p in points]) - table.places(center)) / reach
    near = np.abs(away).max(axis=1) <= _FIT_REACHES
    losses = np.maximum([table.losses[point] for point in points], _MIN_LOSS)[near]
    above = np.log(losses / max(table.losses[center], _MIN_LOSS))
    finite = above[np.isfinite(above)]
    above = np.minimum(above, 10 * np.median(finite)) if finite.size else np.zeros_like(above)
    solution = np.linalg.lstsq(_terms(away[near]), above, rcond=1e-8)[0]
    return lambda places: np.asarray(np.round(_terms(places) @ solution, 12))


def _terms(places: Float64[ndarray, "m d"]) -> Float64[ndarray, "m k"]:
    """1, x, x² and xy; cheap terms are scaled up, so that a small coefficient suffices."""
    pairs = [places[:, i] * places[:, j] for i, j in combinations(range(places.shape[1]), 2)]
    columns = [
        _CHEAP_TERM_SCALE * np.ones(len(places)),
        *(_CHEAP_TERM_SCALE * places.T),
        *(places.T**2),
        *pairs,
    ]
    return np.stack(columns, axis=1)


def _lowest(value: Quadratic, axes: int) -> Float64[ndarray, " d"]:
    """Its lowest point on a grid in [-1, 1], by changing two numbers at a time."""
    width = min(axes, 2)
    grid = np.array(list(product(np.arange(-4, 5) / 4, repeat=width)))
    best = np.zeros(axes)
    lowest = float(value(best[None])[0])
    while True:
        moves = np.tile(best, (0, 1))
        for indices in combinations(range(axes), width):
            changed = np.tile(best, (len(grid), 1))
            changed[:, indices] = grid
            moves = np.concatenate([moves, changed])
        values = value(moves)
        order = np.lexsort((np.abs(moves).sum(axis=1), values))
        if not values[order[0]] < lowest:
            return best
        best, lowest = moves[order[0]], float(values[order[0]])
