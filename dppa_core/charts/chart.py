"""Lines, bars and points as SVG, with their 95 % intervals."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from xml.sax.saxutils import escape

from dppa_core.charts.plots import Chart, Series
from dppa_core.charts.svg import (
    CHARACTER,
    COLOURS,
    MARGIN,
    frame,
    named,
    spread,
    ticks,
)

_WIDTH, _HEIGHT, _LEFT, _BELOW = 640, 300, 62, 56
_ROW = 17
"""Height of a legend row, in pixels."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps numbers to pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The position of a number, in pixels."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def chart_svg(chart: Chart) -> str:
    """A chart as SVG; needs at least one series with a point."""
    legend, legend_rows = _legend(chart)
    top = 44 + _ROW * legend_rows
    height = top + _HEIGHT + _BELOW
    names = _names(chart)
    bounds = [v for s in chart.series for v in (*s.y, *s.low, *s.high)]
    low, high = spread(bounds)
    marks = ticks(min(low, 0.0) if chart.kind == "bars" else low, high)
    y = Scale(marks[0], marks[-1], top + _HEIGHT, top)
    parts = frame(chart.title, _description(chart), _WIDTH, height) + legend
    parts += _y_axis(chart, marks, y)
    if names:
        x = Scale(-0.5, len(names) - 0.5, _LEFT, _WIDTH - MARGIN)
        parts += _named_axis(chart, names, x, y.start)
    else:
        numbers = [float(v) for s in chart.series for v in s.x]
        low, high = spread(numbers)
        room = (high - low) * 0.04 or 0.5
        x = Scale(low - room, high + room, _LEFT, _WIDTH - MARGIN)
        parts += _number_axis(chart, sorted(set(numbers)), x, y.start)
    for place, series in enumerate(chart.series):
        parts += _series(chart, series, place, names, x, y)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _names(chart: Chart) -> tuple[str, ...]:
    """The positions on an axis of names; empty for an axis of numbers."""
    places = [value for series in chart.series for value in series.x]
    return tuple(dict.fromkeys(map(str, places))) if isinstance(places[0], str) else ()


def _description(chart: Chart) -> str:
    kinds = {"lines": "Lines", "bars": "Bars", "scatter": "Points"}
    names = ", ".join(series.name for series in chart.series)
    return f"{kinds[chart.kind]} of {named(chart.y)} by {named(chart.x)}: {names}."


def _legend(chart: Chart) -> tuple[list[str], int]:
    """The parts of the legend, and its number of rows."""
    parts, x, row = [], float(MARGIN), 0
    for place, series in enumerate(chart.series):
        width = 26 + CHARACTER * len(series.name)
        if x + width > _WIDTH - MARGIN and x > MARGIN:
            x, row = float(MARGIN), row + 1
        y = 44 + _ROW * row
        parts.append(f'<g class="c{place % COLOURS}">{_mark(chart, place, x + 6, y - 4)}</g>')
        parts.append(f'<text x="{x + 16:g}" y="{y:g}">{escape(series.name)}</text>')
        x += width
    return parts, row + 1


def _y_axis(chart: Chart, marks: tuple[float, ...], y: Scale) -> list[str]:
    parts = []
    for mark in marks:
        at = y.at(mark)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - MARGIN}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text class="quiet" x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{mark:g}'
            "</text>"
        )
    middle = (y.start + y.end) / 2
    parts.append(
        f'<text class="quiet" transform="translate({MARGIN + 2} {middle:g}) rotate(-90)" '
        f'text-anchor="middle">{escape(named(chart.y))}</text>'
    )
    if marks[0] < 0 < marks[-1]:
        at = y.at(0)
        parts.append(
            f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - MARGIN}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
    return parts


def _named_axis(chart: Chart, names: tuple[str, ...], x: Scale, bottom: float) -> list[str]:
    room = int((x.at(1) - x.at(0)) / CHARACTER)
    parts = []
    for place, name in enumerate(names):
        for line, text in enumerate(_wrapped(name, room)):
            parts.append(
                f'<text class="quiet" x="{x.at(place):.1f}" y="{bottom + 15 + 12 * line:g}" '
                f'text-anchor="middle">{escape(text)}</text>'
            )
    return [*parts, *_under(chart, bottom)]


def _wrapped(name: str, room: int) -> tuple[str, ...]:
    """A name in at most two lines."""
    if len(name) <= room:
        return (name,)
    lines = wrap(name, max(room, 2))
    rest = " ".join(lines[1:])
    return (lines[0], rest if len(rest) <= room else rest[: max(room - 1, 1)] + "…")


def _number_axis(chart: Chart, numbers: list[float], x: Scale, bottom: float) -> list[str]:
    few = len(numbers) <= 8 and all(
        x.at(b) - x.at(a) > 26 for a, b in zip(numbers, numbers[1:], strict=False)
    )
    marks = numbers if few else [m for m in ticks(x.low, x.high, 6) if x.low <= m <= x.high]
    parts = []
    for mark in marks:
        at = x.at(mark)
        parts.append(
            f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom:g}" '
            f'y2="{bottom + 4:g}"/><text class="quiet" x="{at:.1f}" y="{bottom + 18:g}" '
            f'text-anchor="middle">{mark:g}</text>'
        )
    return [*parts, *_under(chart, bottom)]


def _under(chart: Chart, bottom: float) -> list[str]:
    middle = (_LEFT + _WIDTH - MARGIN) / 2
    return [
        f'<text class="quiet" x="{middle:g}" y="{bottom + 43:g}" text-anchor="middle">'
        f"{escape(named(chart.x))}</text>"
    ]


def _series(
    chart: Chart, series: Series, place: int, names: tuple[str, ...], x: Scale, y: Scale
) -> list[str]:
    parts, path = [], []
    several, bars = len(chart.series), chart.kind == "bars"
    step = (x.at(1) - x.at(0)) * 0.8 / several if names else 0.0
    # Shift each line's intervals, or they would hide each other.
    shift = 3.0 if any(drawn.low for drawn in chart.series) else 0.0
    aside = (place - (several - 1) / 2) * (step if bars else shift)
    for at, value in enumerate(series.y):
        if value is None:
            continue
        position = names.index(str(series.x[at])) if names else float(series.x[at])
        px, py = x.at(position) + (aside if chart.kind != "scatter" else 0.0), y.at(value)
        path.append(f"{px:.1f} {py:.1f}")
        low, high = _bound(series.low, at), _bound(series.high, at)
        if bars:
            zero = y.at(max(y.low, 0.0))
            parts.append(
                f'<rect class="bar" x="{px - step / 2:.1f}" y="{min(py, zero):.1f}" '
                f'width="{step * 0.92:.1f}" height="{abs(zero - py):.1f}"/>'
            )
        if low is not None and high is not None:
            shade = "reach" if bars else "whisker"
            parts.append(
                f'<line class="{shade}" x1="{px:.1f}" x2="{px:.1f}" y1="{y.at(low):.1f}" '
                f'y2="{y.at(high):.1f}"/>'
            )
        if not bars:
            label = f"<title>{escape(series.labels[at])}</title>" if series.labels else ""
            parts.append(f"<g>{label}{_mark(chart, place, px, py)}</g>")
    if chart.kind == "lines" and len(path) > 1:
        parts.insert(0, f'<path class="line" d="M{" L".join(path)}"/>')
    return [f'<g class="c{place % COLOURS}">', *parts, "</g>"]


def _bound(values: tuple[float | None, ...], at: int) -> float | None:
    return values[at] if values else None


def _mark(chart: Chart, place: int, x: float, y: float) -> str:
    if chart.kind == "bars":
        return f'<rect class="bar" x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"/>'
    shapes = (
        f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4"/>',
        f'<rect class="mark" x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"/>',
        f'<path class="mark" d="M{x:.1f} {y - 5:.1f}l5 9h-10z"/>',
        f'<path class="mark" d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z"/>',
        f'<path class="mark" d="M{x:.1f} {y + 5:.1f}l5 -9h-10z"/>',
        f'<path class="mark" d="M{x - 5:.1f} {y - 1.5:.1f}h10v3h-10z"/>',
    )
    return shapes[place % len(shapes)]
