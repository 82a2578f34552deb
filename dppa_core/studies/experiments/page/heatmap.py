"""A heatmap as SVG: numbers of pairs as colours, each written into its cell.

Knows plain values. Amounts go from light to dark; differences diverge from their middle.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from dppa_core.merging.cards.card_plot import ink_on
from dppa_core.studies.experiments.page.svg import CHARACTER, MARGIN, frame, named, spread
from dppa_core.studies.experiments.values import Heatmap

_CELL, _ROW, _TOP = 62, 26, 82
_LEAST_WIDTH = 460
Colour = tuple[int, int, int]
_LOW, _HIGH = (232, 241, 250), (8, 48, 107)
_BELOW, _MIDDLE, _ABOVE = (146, 70, 0), (247, 244, 238), (0, 88, 138)


def heatmap_svg(heatmap: Heatmap) -> str:
    """The picture of a heatmap; cells without a number are dashed."""
    left = MARGIN + 10 + CHARACTER * max(map(len, (*heatmap.rows, heatmap.y.title)))
    cell = max(_CELL, CHARACTER * max(map(len, heatmap.columns)) + 10)
    width = max(left + cell * len(heatmap.columns) + MARGIN, _LEAST_WIDTH)
    height = _TOP + _ROW * len(heatmap.rows) + MARGIN
    low, high = spread([value for row in heatmap.cells for value in row])
    told = f"A heatmap of {named(heatmap.y)} by {named(heatmap.x)}; {low:.4g} to {high:.4g}."
    quiet = f"{named(heatmap.z)}, {low:.3g} to {high:.3g}; across: {named(heatmap.x)}"
    parts = frame(heatmap.title, told, width, height)
    parts.append(f'<text class="quiet" x="{MARGIN}" y="44">{escape(quiet)}</text>')
    parts.append(
        f'<text class="quiet" x="{MARGIN}" y="{_TOP - 8}">{escape(heatmap.y.title)}</text>'
    )
    for column, name in enumerate(heatmap.columns):
        x = left + cell * (column + 0.5)
        parts.append(f'<text x="{x:g}" y="{_TOP - 8}" text-anchor="middle">{escape(name)}</text>')
    for row, name in enumerate(heatmap.rows):
        y = _TOP + _ROW * (row + 0.5) + 4
        parts.append(f'<text x="{left - 8:g}" y="{y:g}" text-anchor="end">{escape(name)}</text>')
        for column, value in enumerate(heatmap.cells[row]):
            place = left + cell * column, _TOP + _ROW * row
            parts.append(_cell(place, cell, value, _colour(value, low, high, heatmap.middle)))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _colour(value: float | None, low: float, high: float, middle: float | None) -> Colour:
    if value is None:
        return _MIDDLE
    if middle is None:
        return _mixed(_LOW, _HIGH, (value - low) / (high - low) if high > low else 0.0)
    reach = max(abs(high - middle), abs(low - middle)) or 1.0
    part = (value - middle) / reach
    return _mixed(_MIDDLE, _ABOVE if part > 0 else _BELOW, abs(part))


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _cell(place: tuple[float, float], width: float, value: float | None, colour: Colour) -> str:
    x, y = place
    size = f'x="{x + 1:g}" y="{y + 1:g}" width="{width - 2:g}" height="{_ROW - 2}"'
    if value is None:
        return f'<rect class="empty" {size}/>'
    red, green, blue = colour
    number = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return (
        f'<rect fill="#{red:02x}{green:02x}{blue:02x}" {size}/>'
        f'<text class="{ink_on(colour)}" x="{x + width / 2:g}" y="{y + _ROW / 2 + 4:g}" '
        f'text-anchor="middle">{number}</text>'
    )
