"""Heatmaps of shares by layer and kind of matrix: for cards, notebooks and programs."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dppa_core.charts.heatmap import heatmap_svg
from dppa_core.charts.plots import Axis, Heatmap
from dppa_core.pruning.module_groups import order_kinds

_STEPS, _FINE_STEPS = (1, 2, 5), (1, 2, 3, 4, 5, 6, 8)
"""A scale ends at one of these, times a power of ten; at one of the second from 10 % on."""


class Quantity(NamedTuple):
    """The quantity that a plot shows."""

    title: str
    axis: Axis
    form: str = ".1f"
    """Of the numbers, in per cent."""
    least: float = 1.0
    """End of the smallest scale, in per cent."""


KEPT = Quantity("share of each matrix's changes kept", Axis("kept of its elements", "%"))
CHANGE = Quantity(
    "size of each matrix's change", Axis("‖d‖/‖W‖, W the base's weights", "%"), ".3g", 0.01
)


def shares_by_place(rows: Iterable[tuple[int, str, float, float]]) -> dict[tuple[int, str], float]:
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
    """A heatmap of layers down and kinds of matrices across, in per cent.

    `shares` maps (layer, kind) to a share in [0, 1], such as that of the delta kept; at least one.
    """
    layers = sorted({layer for layer, _ in shares})
    kinds = order_kinds(kind for _, kind in shares)
    percent = {place: 100 * share for place, share in shares.items()}
    heatmap = Heatmap(
        f"{model}: {quantity.title}",
        Axis("kind of matrix"),
        Axis("layer"),
        quantity.axis,
        kinds,
        tuple(map(str, layers)),
        tuple(tuple(percent.get((layer, kind)) for kind in kinds) for layer in layers),
    )
    top = _end_of_scale(max(quantity.least, min(max(percent.values()), 100.0)))
    return heatmap_svg(heatmap, form=quantity.form, top=top)


def _end_of_scale(largest: float) -> float:
    """The next round number, at most 100."""
    powers = {power: _FINE_STEPS if power > 0 else _STEPS for power in range(-3, 3)}
    ends = (float(f"{step}e{power}") for power, steps in powers.items() for step in steps)
    return next(end for end in ends if end >= largest * (1 - 1e-9))
