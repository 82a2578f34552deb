"""Charts and heatmaps as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from dppa_core.charts.tables import Cell


@dataclass(frozen=True, slots=True)
class Axis:
    """Title and unit of an axis."""

    title: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Named points in drawing order."""

    name: str
    x: tuple[float | str, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    labels: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        x: Iterable[float | str],
        cells: Iterable[Cell],
        labels: tuple[str, ...] = (),
    ) -> Series:
        """A series from cells with numbers and intervals, one per x."""
        points = tuple(cells)
        y = tuple(point.value if isinstance(point.value, float) else None for point in points)
        low, high = tuple(point.low for point in points), tuple(point.high for point in points)
        return cls(name, tuple(x), y, low, high, labels)


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines, bars or points over an axis."""

    kind: Literal["lines", "bars", "scatter"]
    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]

    @classmethod
    def of(
        cls,
        kind: Literal["lines", "bars", "scatter"],
        title: str,
        axes: tuple[Axis, Axis],
        places: Iterable[float | str],
        cells: Mapping[str, Iterable[Cell]],
        labels: tuple[str, ...] = (),
    ) -> Chart:
        """A chart of series with the same x, by name; `axes` are x and y."""
        x = tuple(places)
        series = tuple(Series.of(name, x, points, labels) for name, points in cells.items())
        return cls(kind, title, *axes, series)


NOTHING_TOLD = "×"
"""The sign of a number that tells nothing: its cell has no colour."""


@dataclass(frozen=True, slots=True)
class Heatmap:
    """A matrix of numbers as colours."""

    title: str
    x: Axis
    y: Axis
    z: Axis
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cells: tuple[tuple[float | None, ...], ...]
    middle: float | None = None
    """Neutral number of diverging colours."""
    marks: tuple[tuple[str, ...], ...] = ()
    """A sign behind each number; empty: none."""
    places: tuple[tuple[tuple[int, int] | None, ...], ...] = ()
    """Table and row, from 0, of each number; empty: none."""
    how: str = ""
    """What the signs and names mean."""
    kind: Literal["heatmap"] = "heatmap"
