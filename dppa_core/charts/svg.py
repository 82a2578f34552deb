"""What static SVG plots share: a frame with its style, text that stands out, axes.

A plot has its own background, so it is readable on light and dark pages; equal values give equal
text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from xml.sax.saxutils import escape

from dppa_core.charts.plots import Axis

MARGIN, CHARACTER, _TITLE_CHARACTER = 16, 6.3, 8.4
"""Pixels: around a plot; the width of a letter at 11 px, and of one in a title."""
COLOURS = 8
"""Classes `c0` to `c7` of series."""

_STYLE = """
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


def frame(title: str, description: str, width: float, height: float) -> list[str]:
    """The start of a plot: text for screen readers, style, background, title.

    Args:
        title: Shown as far as it fits.
        description: For screen readers.
        width: In pixels, as `height`.
    """
    room = int((width - 2 * MARGIN) / _TITLE_CHARACTER)
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="t d">',
        f'<title id="t">{escape(title)}</title>',
        f'<desc id="d">{escape(description)}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" '
        'rx="6"/>',
        f'<text class="title" x="{MARGIN}" y="26">{escape(cut(title, room))}</text>',
    ]


def cut(text: str, length: int) -> str:
    """The text, or its beginning with an ellipsis if it is longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def ink_on(colour: tuple[int, int, int]) -> str:
    """The class of black or white text, whichever stands out more from red, green, blue."""
    red, green, blue = (_linear(part / 255) for part in colour)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # as WCAG 2 defines it
    return "on-low" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "on-high"


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def named(axis: Axis) -> str:
    """An axis with its unit."""
    return f"{axis.title} ({axis.unit})" if axis.unit else axis.title


def ticks(low: float, high: float, about: int = 5) -> tuple[float, ...]:
    """Round numbers from below `low` to above `high`, about so many."""
    if high <= low:
        high = low + 1
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(step * place, 10) for place in range(first, last + 1))


def spread(values: Iterable[float | None]) -> tuple[float, float]:
    """The smallest and largest number."""
    numbers = [value for value in values if value is not None]
    return (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
