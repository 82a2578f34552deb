"""Heatmaps of shares by layer and kind of matrix, as a small static SVG: for cards and notebooks.

They have their own background, to be legible on light and dark pages; the same numbers give the
same text.
"""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from xml.sax.saxutils import escape

from dppa_core.pruning.module_groups import order_kinds

_LEFT, _TOP, _CELL, MARGIN, _CHARACTER = 64, 78, 62, 16, 7.2  # pixels
_ROWS = ((24, 22), (48, 16), (10**9, 9))
"""Most layers -> height of a row in pixels; the lowest rows show no numbers."""
_LOWEST_TEXT = 14
_LOW, _HIGH = (232, 241, 250), (8, 48, 107)
_SCALES = (
    *(digit / 10**power for power in (4, 3, 2) for digit in (1, 2, 5)),
    *(tenths / 10 for tenths in (1, 2, 3, 4, 5, 6, 8, 10)),
)
"""Possible ends of the scale."""
_STEPS = 40

_STYLE = """
text{font:11px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:#1f1d18}
.ground{fill:#fffdf8;stroke:#d9d3c4}.title{font-size:14px;font-weight:600}.quiet{fill:#5c574b}
.on-low{fill:#000}.on-high{fill:#fff}.empty{fill:none;stroke:#8b8473;stroke-dasharray:2 3}
@media(prefers-color-scheme:dark){
text{fill:#ece8df}.ground{fill:#1f2124;stroke:#3a3d42}.quiet{fill:#b0aa9c}
.on-low{fill:#000}.on-high{fill:#fff}}
""".replace("\n", "")


class Quantity(NamedTuple):
    """The quantity that a plot shows."""

    title: str
    short: str
    """The title where it does not fit."""
    unit: str
    legend: str
    form: str = ".1f"
    """Of the numbers, in per cent."""
    least: float = 0.01
    """End of the smallest scale."""


KEPT = Quantity(
    "share of each matrix's changes kept",
    "share of changes kept",
    "in per cent of its elements",
    "kept",
)
CHANGE = Quantity(
    "size of each matrix's change",
    "size of changes",
    "‖d‖/‖W‖ in per cent, W the base's weights",
    "‖d‖/‖W‖",
    ".3g",
    0.0001,
)


def shares_by_place(
    rows: Iterable[tuple[int, str, float, float]],
) -> dict[tuple[int, str], float]:
    """(layer, kind) -> share of the parts in the wholes; experts of one kind together.

    Args:
        rows: Layer, kind, part and whole of each matrix; a whole of 0 counts nothing.
    """
    sums: dict[tuple[int, str], list[float]] = {}
    for layer, kind, part, whole in rows:
        place = sums.setdefault((layer, kind), [0.0, 0.0])
        place[0] += part
        place[1] += whole
    return {place: part / whole if whole else 0.0 for place, (part, whole) in sums.items()}


def cell_html(sentence: str, svg: str = "") -> str:
    """A value in a notebook's cell: a sentence, and a picture whose style stays its own."""
    text = html.escape(sentence)
    coded = b64encode(svg.encode()).decode()
    image = f'<img alt="{text}" src="data:image/svg+xml;base64,{coded}">' if svg else ""
    return f"<div>{text}</div>{image}"


def share_svg(
    model: str, shares: Mapping[tuple[int, str], float], quantity: Quantity = KEPT
) -> str:
    """A heatmap of layers down and kinds of matrices across.

    `shares` maps (layer, kind) to a share in [0, 1], such as that of the delta kept; at least one.
    """
    layers = sorted({layer for layer, _ in shares})
    kinds = order_kinds(kind for _, kind in shares)
    row = next(height for most, height in _ROWS if len(layers) <= most)
    most = max(quantity.least, min(max(shares.values()), 1.0))
    top = next(scale for scale in _SCALES if scale >= most)
    width = max(_LEFT + _CELL * len(kinds) + MARGIN, 420)
    below = _TOP + row * len(layers)
    parts = [
        *_frame(model, shares, quantity, width, below + 62),
        *_axes(layers, kinds, row),
        *(_cell(layers, kinds, row, place, shares.get(place), top, quantity.form)
          for place in ((layer, kind) for layer in layers for kind in kinds)),
        *_legend(below + 22, top, quantity.legend),
        "</svg>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def shade(share: float) -> str:
    """The colour of a share of the scale, in [0, 1]."""
    mixed = (round(low + (high - low) * share) for low, high in zip(_LOW, _HIGH, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def text_class(share: float) -> str:
    """Black or white, whichever stands out more from `shade`."""
    red, green, blue = (low + (high - low) * share for low, high in zip(_LOW, _HIGH, strict=True))
    return ink_on((red, green, blue))


def ink_on(colour: tuple[float, float, float]) -> str:
    """Black or white, whichever stands out more from a colour of red, green, blue to 255."""
    red, green, blue = (_linear(part / 255) for part in colour)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # as WCAG 2 defines it
    return "on-low" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "on-high"


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def frame(style: str, names: tuple[str, str], text: str, width: float, height: float) -> list[str]:
    """The start of a plot: text for screen readers, style, background, title.

    Args:
        names: The whole title, and as much of it as is drawn.
        text: A description for screen readers.
    """
    title, drawn = map(escape, names)
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="t d">',
        f'<title id="t">{title}</title>',
        f'<desc id="d">{escape(text)}</desc>',
        f"<style>{style}</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" '
        'rx="6"/>',
        f'<text class="title" x="{MARGIN}" y="26">{drawn}</text>',
    ]


def _frame(
    model: str,
    shares: Mapping[tuple[int, str], float],
    quantity: Quantity,
    width: int,
    height: int,
) -> list[str]:
    title = f"{model}: {quantity.title}"
    fits = int((width - 2 * MARGIN) / _CHARACTER)
    short = f"{model[: max(fits - len(quantity.short) - 11, 8)]}…: {quantity.short}"
    drawn = title if len(title) <= fits else short
    low, high = (f"{100 * end(shares.values()):{quantity.form}}%" for end in (min, max))
    spread = f"from {low} to {high}"
    text = f"A heatmap of layers by kinds of matrices; {spread}."
    return [
        *frame(_STYLE, (title, drawn), text, width, height),
        f'<text class="quiet" x="{MARGIN}" y="44">{quantity.unit}; {spread}</text>',
    ]


def _axes(layers: list[int], kinds: tuple[str, ...], row: int) -> list[str]:
    every = 1 if row >= _LOWEST_TEXT else 5
    parts = [f'<text class="quiet" x="{MARGIN}" y="{_TOP - 8}">layer</text>']
    for column, kind in enumerate(kinds):
        x, name = _LEFT + _CELL * (column + 0.5), kind if len(kind) <= 9 else kind[:8] + "…"
        parts.append(f'<text x="{x:g}" y="{_TOP - 8}" text-anchor="middle">{escape(name)}</text>')
    for line, layer in enumerate(layers):
        if line % every == 0:
            y = _TOP + row * (line + 0.5) + 4
            parts.append(f'<text x="{_LEFT - 8}" y="{y:g}" text-anchor="end">{layer}</text>')
    return parts


def _cell(
    layers: list[int],
    kinds: tuple[str, ...],
    row: int,
    place: tuple[int, str],
    share: float | None,
    top: float,
    form: str,
) -> str:
    x, y = _LEFT + _CELL * kinds.index(place[1]), _TOP + row * layers.index(place[0])
    size = f'x="{x + 1}" y="{y + 1}" width="{_CELL - 2}" height="{row - 2}"'
    if share is None:
        return f'<rect class="empty" {size}/>'
    part = min(max(share / top, 0.0), 1.0)
    box = f'<rect fill="{shade(part)}" {size}/>'
    if row < _LOWEST_TEXT:
        return box
    middle = f'x="{x + _CELL / 2:g}" y="{y + row / 2 + 4:g}" text-anchor="middle"'
    return f'{box}<text class="{text_class(part)}" {middle}>{100 * share:{form}}</text>'


def _legend(y: int, top: float, name: str) -> list[str]:
    step = 5
    parts = [f'<text class="quiet" x="{MARGIN}" y="{y + 10}">{name}</text>']
    for index in range(_STEPS):
        x, colour = _LEFT + step * index, shade(index / (_STEPS - 1))
        parts.append(f'<rect fill="{colour}" x="{x}" y="{y}" width="{step}" height="12"/>')
    for share in (0.0, 0.5, 1.0):
        place = f'x="{_LEFT + step * _STEPS * share:g}" y="{y + 27}" text-anchor="middle"'
        parts.append(f'<text class="quiet" {place}>{100 * top * share:g} %</text>')
    return parts
