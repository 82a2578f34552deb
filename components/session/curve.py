"""A coefficient by layer as a few points with linear interpolation between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from dppa_core.errors import InvalidValue, shown
from dppa_core.parameter_fields import check_number

MOST_POINTS = 200
_DIGITS = 6

Point = tuple[int, float]
"""A layer, counted from 0, and the coefficient there."""
Curve = tuple[Point, ...]


def checked_curve(name: str, points: Iterable[Sequence[object]], low: float, high: float) -> Curve:
    """Points (layer, coefficient) as a curve: two or more, with layers rising from 0. Raises
    InvalidValue, which names the model (`where`), the point and the rule it breaks."""
    curve = tuple(_point(name, point, low, high) for point in points)
    layers = [layer for layer, _ in curve]
    if not 2 <= len(curve) <= MOST_POINTS:
        raise InvalidValue(
            f"{name} is a curve of 2 to {MOST_POINTS} points, got {len(curve)}. "
            "One number for all layers needs no curve."
        )
    if layers[0] != 0 or any(after <= before for before, after in pairwise(layers)):
        raise InvalidValue(
            f"{name}: the layers of a curve rise from 0, got {shown(layers)}. "
            "Each point has its own layer."
        )
    return curve


def _point(name: str, point: Sequence[object], low: float, high: float) -> Point:
    if isinstance(point, str) or not isinstance(point, Sequence) or len(point) != 2:
        raise InvalidValue(f"{name}: a point is a layer and a number, got {shown(point)}.")
    layer = point[0]
    if isinstance(layer, bool) or not isinstance(layer, int) or not 0 <= layer < 10_000:
        raise InvalidValue(f"{name}: layers are counted from 0, got {shown(layer)}.")
    return layer, check_number(f"{name} at layer {layer}", point[1], low, high)


def level_of(curve: Curve) -> float | None:
    """The value of a flat curve; None if its points differ or there are none."""
    values = {value for _, value in curve}
    return values.pop() if len(values) == 1 else None


def numbers_along(curve: Curve) -> dict[int, float]:
    """Layer -> coefficient, for every layer from 0 to that of the last point. Interpolated values
    are rounded to six digits, to keep recipes readable."""
    numbers = dict(curve)
    for start, end in pairwise(curve):
        for layer in range(start[0] + 1, end[0]):
            numbers[layer] = _between(start, end, layer)
    return dict(sorted(numbers.items()))


def _between(start: Point, end: Point, layer: int) -> float:
    share = (layer - start[0]) / (end[0] - start[0])
    return round(start[1] + share * (end[1] - start[1]), _DIGITS) + 0.0


def points_through(numbers: Mapping[int, float]) -> Curve:
    """The inverse of `numbers_along`: a few points that give these coefficients of all layers."""
    last = len(numbers) - 1
    points = [(0, numbers[0])]
    while points[-1][0] < last:
        start = points[-1]
        reach = next(
            layer
            for layer in range(last, start[0], -1)
            if _meets(numbers, start, (layer, numbers[layer]))
        )
        points.append((reach, numbers[reach]))
    return tuple(points)


def _meets(numbers: Mapping[int, float], start: Point, end: Point) -> bool:
    between = range(start[0] + 1, end[0])
    return all(numbers[layer] == _between(start, end, layer) for layer in between)
