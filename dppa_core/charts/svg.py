"""Plots as static SVG: heatmaps, and the parts shared with charts.

A plot has its own background, so it is readable on light and dark pages; equal values give equal
text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from dppa_core.charts.report import NOTHING_TOLD, Axis, Heatmap
from dppa_core.pruning import share_plot
from dppa_core.pruning.share_plot import MARGIN, ink_on

CHARACTER = 6.3
"""Width of a letter at 11 px, in pixels."""

STYLE = """
text{font:11px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:#1f1d18}
.ground{fill:#fffdf8;stroke:#d9d3c4}.title{font-size:14px;font-weight:600}.quiet{fill:#5c574b}
.grid{stroke:#e6e0d2}.axis{stroke:#8b8473}.reach{stroke:#1f1d18}
.on-low{fill:#000}.on-high{fill:#fff}
.empty{fill:none;stroke:#8b8473;stroke-dasharray:2 3}.line{fill:none;stroke-width:2}
.c0{--c:#0072b2}.c1{--c:#b85400}.c2{--c:#00805f}.c3{--c:#a5517f}.c4{--c:#6b5d00}.c5{--c:#555}
.c6{--c:#1f7ea8}.c7{--c:#8c4a2f}
.mark{fill:var(--c)}.line,.whisker{stroke:var(--c)}.bar{fill:var(--c)}
@media(prefers-color-scheme:dark){
text{fill:#ece8df}.ground{fill:#1f2124;stroke:#3a3d42}.quiet{fill:#b0aa9c}
.grid{stroke:#34373c}.axis{stroke:#7d776a}.reach{stroke:#ece8df}
.on-low{fill:#000}.on-high{fill:#fff}
.c0{--c:#56b4e9}.c1{--c:#f0a04b}.c2{--c:#35c9a0}.c3{--c:#dd9cc2}.c4{--c:#e3d64a}.c5{--c:#bbb}
.c6{--c:#7fd0f0}.c7{--c:#d9a184}}
""".replace("\n", "")
COLOURS = 8


def frame(title: str, told: str, width: float, height: float) -> list[str]:
    """The start of a plot: text for screen readers, background, title."""
    fits = int((width - 2 * MARGIN) / 7.4)
    shown = title if len(title) <= fits else title[: fits - 1] + "…"
    return share_plot.frame(STYLE, (title, shown), told, width, height)


def named(axis: Axis) -> str:
    """An axis with its unit."""
    return f"{axis.title} ({axis.unit})" if axis.unit else axis.title


def ticks(low: float, high: float, about: int = 5) -> tuple[float, ...]:
    """Round numbers from below `low` to above `high`, about so many."""
    if high <= low:
        high = low + 1
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(step * place, 10) for place in range(first, last + 1))


def spread(values: Sequence[float | None]) -> tuple[float, float]:
    """The smallest and largest number."""
    there = [value for value in values if value is not None]
    return (min(there), max(there)) if there else (0.0, 1.0)


_CELL, _ROW, _TOP = 62, 26, 82
_LEAST_WIDTH = 460
Colour = tuple[int, int, int]
_LOW, _HIGH = (232, 241, 250), (8, 48, 107)
_BELOW, _MIDDLE, _ABOVE = (146, 70, 0), (247, 244, 238), (0, 88, 138)


def heatmap_svg(heatmap: Heatmap) -> str:
    """A heatmap as SVG; cells without a number are dashed."""
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
            mark = heatmap.marks[row][column] if heatmap.marks else ""
            shown = None if mark == NOTHING_TOLD else value
            colour = _colour(shown, low, high, heatmap.middle)
            sign = f" {escape(mark)}"
            parts.append(_cell(place, cell, value, colour, sign.rstrip()))
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


def _cell(
    place: tuple[float, float], width: float, value: float | None, colour: Colour, sign: str
) -> str:
    x, y = place
    size = f'x="{x + 1:g}" y="{y + 1:g}" width="{width - 2:g}" height="{_ROW - 2}"'
    if value is None:
        return f'<rect class="empty" {size}/>'
    red, green, blue = colour
    number = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return (
        f'<rect fill="#{red:02x}{green:02x}{blue:02x}" {size}/>'
        f'<text class="{ink_on(colour)}" x="{x + width / 2:g}" y="{y + _ROW / 2 + 4:g}" '
        f'text-anchor="middle">{number}{sign}</text>'
    )
