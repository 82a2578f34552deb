"""A heatmap as static SVG: for cards, notebooks, reports and programs."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from dppa_core.charts.plots import NOTHING_TOLD, Heatmap
from dppa_core.charts.svg import CHARACTER, MARGIN, cut, frame, ink_on, named, spread

_TOP, _LEAST_CELL, _LEAST_WIDTH, _LEGEND = 82, 62, 420, 46
"""Pixels: above the cells, of a cell's width, of the plot's width, of a legend's height."""
_NAME_LENGTH = 20
"""Characters of a column's name that are shown."""
_ROW_HEIGHTS = ((24, 22), (48, 16), (10**9, 9))
"""Most rows -> height of a row in pixels."""
_TEXT_HEIGHT = 14
"""Lower rows show no numbers, and every fifth name."""
_LEGEND_STEPS = 40

Colour = tuple[int, int, int]
_LOW, _HIGH = (232, 241, 250), (8, 48, 107)
_BELOW, _MIDDLE, _ABOVE = (146, 70, 0), (247, 244, 238), (0, 88, 138)


def heatmap_svg(heatmap: Heatmap, *, form: str = "", top: float | None = None) -> str:
    """A heatmap as SVG; cells without a number are dashed.

    Args:
        heatmap: At least one row and column.
        form: Format of the numbers; three digits if empty.
        top: End of the colours, which then begin at 0 and have a legend.
    """
    row_height = next(height for most, height in _ROW_HEIGHTS if len(heatmap.rows) <= most)
    left = MARGIN + 10 + CHARACTER * max(map(len, (*heatmap.rows, heatmap.y.title)))
    names = [cut(name, _NAME_LENGTH) for name in heatmap.columns]
    cell = max(_LEAST_CELL, CHARACTER * max(map(len, names)) + 10)
    width = max(left + cell * len(names) + MARGIN, _LEAST_WIDTH)
    below = _TOP + row_height * len(heatmap.rows)
    low, high = spread(value for row in heatmap.cells for value in row)
    ends = f"{number_text(low, form)} to {number_text(high, form)}"
    description = f"A heatmap of {named(heatmap.y)} by {named(heatmap.x)}; {ends}."
    height = below + (MARGIN if top is None else MARGIN + _LEGEND)
    parts = [
        *frame(heatmap.title, description, width, height),
        f'<text class="quiet" x="{MARGIN}" y="44">{escape(named(heatmap.z))}, {ends}; across: '
        f"{escape(named(heatmap.x))}</text>",
        f'<text class="quiet" x="{MARGIN}" y="{_TOP - 8}">{escape(heatmap.y.title)}</text>',
    ]
    for column, name in enumerate(names):
        x = left + cell * (column + 0.5)
        parts.append(f'<text x="{x:g}" y="{_TOP - 8}" text-anchor="middle">{escape(name)}</text>')
    for row, name in enumerate(heatmap.rows):
        y = _TOP + row_height * row
        if row_height >= _TEXT_HEIGHT or row % 5 == 0:
            middle = y + row_height / 2 + 4
            parts.append(
                f'<text x="{left - 8:g}" y="{middle:g}" text-anchor="end">{escape(name)}</text>'
            )
        for column, value in enumerate(heatmap.cells[row]):
            mark = heatmap.marks[row][column] if heatmap.marks else ""
            scaled = None if mark == NOTHING_TOLD else value
            colour = _colour(scaled, low if top is None else 0.0, top or high, heatmap.middle)
            text = "" if row_height < _TEXT_HEIGHT else f"{number_text(value, form)} {mark}".strip()
            box = (left + cell * column, y, cell, row_height)
            parts.append(_cell(box, text, None if value is None else colour))
    if top is not None:
        parts += _legend(left, below + 22, top, heatmap.z.unit)
    return "\n".join([*parts, "</svg>"]) + "\n"


def number_text(value: float | None, form: str) -> str:
    """A number of a cell; empty for None."""
    if value is None:
        return ""
    return f"{value:{form or ('.3g' if abs(value) < 1000 else '.0f')}}"


def shade(share: float) -> Colour:
    """Red, green and blue of a share of the scale, in [0, 1]."""
    return _mixed(_LOW, _HIGH, share)


def _colour(value: float | None, low: float, high: float, middle: float | None) -> Colour:
    if value is None:
        return _MIDDLE
    if middle is None:
        return shade(min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.0)
    reach = max(abs(high - middle), abs(low - middle)) or 1.0
    part = (value - middle) / reach
    return _mixed(_MIDDLE, _ABOVE if part > 0 else _BELOW, abs(part))


def _mixed(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _cell(box: tuple[float, float, float, float], text: str, colour: Colour | None) -> str:
    x, y, width, height = box
    size = f'x="{x + 1:g}" y="{y + 1:g}" width="{width - 2:g}" height="{height - 2:g}"'
    if colour is None:
        return f'<rect class="empty" {size}/>'
    red, green, blue = colour
    rectangle = f'<rect fill="#{red:02x}{green:02x}{blue:02x}" {size}/>'
    if not text:
        return rectangle
    middle = f'x="{x + width / 2:g}" y="{y + height / 2 + 4:g}" text-anchor="middle"'
    return f'{rectangle}<text class="{ink_on(colour)}" {middle}>{escape(text)}</text>'


def _legend(left: float, y: float, top: float, unit: str) -> Iterator[str]:
    step = 5
    for index in range(_LEGEND_STEPS):
        red, green, blue = shade(index / (_LEGEND_STEPS - 1))
        yield (
            f'<rect fill="#{red:02x}{green:02x}{blue:02x}" x="{left + step * index:g}" y="{y:g}" '
            f'width="{step}" height="12"/>'
        )
    for share in (0.0, 0.5, 1.0):
        x = left + step * _LEGEND_STEPS * share
        yield (
            f'<text class="quiet" x="{x:g}" y="{y + 27:g}" text-anchor="middle">'
            f"{escape(f'{top * share:g} {unit}'.strip())}</text>"
        )
