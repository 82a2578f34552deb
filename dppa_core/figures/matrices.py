"""Figures by layer and kind of matrix: a heatmap of any share, and the kept share of every layer.

Plotly interprets markup in labels, so names of matrices, which come from checkpoints, are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from dppa_core.pruning.module_groups import order_kinds
from dppa_core.pruning.plan import PruningPlan
from dppa_core.pruning.share_plot import shares_by_place

Shares = Mapping[tuple[int, str], float]
"""(layer, kind of matrix) -> a share in [0, 1]."""
ROW, MOST_HEIGHT = 26, 900  # pixels
MOST_NUMBERS = 200
"""Most cells for which each shows its number; otherwise only on hover."""
BLUES = ("#0072B2", "#66AAD1", "#A6CDE4", "#D6E8F2")
"""Of the partitions, the strongest first; further ones have the last."""
INK_TURNS = 0.18
"""Relative luminance at which black and white have the same contrast."""


def heatmap(shares: Shares, what: str) -> go.Figure:
    """A heatmap in per cent: layers down, kinds of matrices across.

    Args:
        shares: At least one; see `planned_shares`.
        what: Names the share, on hover.
    """
    layers, kinds = axes_of(shares)
    values = [[_percent(shares.get((layer, kind))) for kind in kinds] for layer in layers]
    names = [escape(kind) for kind in kinds]
    low, high = _span([value for row in values for value in row if value is not None])
    heat = go.Heatmap(
        x=names,
        y=[str(layer) for layer in layers],
        z=values,
        colorscale="Viridis",
        colorbar={"title": {"text": "%"}, "thickness": 12},
        zmin=low,
        zmax=high,
        xgap=1,
        ygap=1,
        hovertemplate=f"layer %{{y}}, %{{x}}<br>{what}: %{{z:.3g}} %<extra></extra>",
    )
    figure = go.Figure(heat)
    if len(layers) * len(kinds) <= MOST_NUMBERS:
        figure.update_layout(
            annotations=[
                _number(name, layer, value, (value - low) / (high - low))
                for layer, row in zip(layers, values, strict=True)
                for name, value in zip(names, row, strict=True)
                if value is not None
            ]
        )
    figure.update_yaxes(autorange="reversed", title="layer", type="category")
    figure.update_xaxes(title="matrix", side="top", type="category")
    return _sized(figure, len(layers), top=70, bottom=10)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The ends of the colours; equal values lie in the middle."""
    low, high = min(values), max(values)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _number(name: str, layer: int, value: float, share: float) -> dict[str, Any]:
    """The number in a cell. Plotly's own text colour is too faint on the middle colours."""
    font = {"color": ink_on(share), "size": 11}
    return {"x": name, "y": str(layer), "text": f"{value:.3g}", "showarrow": False, "font": font}


def ink_on(share: float) -> str:
    """Black or white: the one with a contrast of 4.5:1 or more on that share of Viridis."""
    (colour,) = sample_colorscale("Viridis", [share], colortype="tuple")
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    luminance = sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#000" if luminance > INK_TURNS else "#fff"


def kept_shares(plan: PruningPlan, colours: Sequence[str] = BLUES) -> go.Figure:
    """Bars of the kept share of every layer, stacked by partition, in per cent of its weights.

    Args:
        colours: Of the partitions, the strongest first; further ones have the last.
    """
    layers = sorted({module.layer for module in plan.modules})
    figure = go.Figure()
    for index, level in enumerate(plan.levels):
        values = [100 * _band(plan, layer, index) for layer in layers]
        above = plan.levels[index - 1] if index else 1.0
        label = f"kept between {100 * (1 - above):g} % and {100 * (1 - level):g} %"
        figure.add_bar(
            y=[str(layer) for layer in layers],
            x=values,
            name=label if index else f"strongest {100 * (1 - level):g} %",
            orientation="h",
            marker={"color": colours[min(index, len(colours) - 1)]},
            hovertemplate="layer %{y}: %{x:.2f} % of its weights<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(
        barmode="stack",
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "traceorder": "normal"},
    )
    figure.update_yaxes(autorange="reversed", title="layer", type="category")
    figure.update_xaxes(title="share of the layer's weights kept (%)", rangemode="tozero")
    return _sized(figure, len(layers), top=50, bottom=60)


def planned_shares(plan: PruningPlan, quantity: str) -> dict[tuple[int, str], float]:
    """(layer, kind) -> a share of its modules, the mean weighted by size.

    Args:
        quantity: density, energy or significance of `ModulePlan`.
    """
    return shares_by_place(
        (module.layer, module.kind, getattr(module, quantity) * module.numel, module.numel)
        for module in plan.modules
    )


def axes_of(shares: Shares) -> tuple[list[int], tuple[str, ...]]:
    """Layers and kinds, in the order they are shown."""
    return sorted({layer for layer, _ in shares}), order_kinds(kind for _, kind in shares)


def _band(plan: PruningPlan, layer: int, index: int) -> float:
    inside = [module for module in plan.modules if module.layer == layer]
    return sum(m.partitions[index] for m in inside) / sum(m.numel for m in inside)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 4)


def _sized(figure: go.Figure, layers: int, *, top: int, bottom: int) -> go.Figure:
    height = min(MOST_HEIGHT, top + bottom + ROW * max(layers, 4))
    margin = {"l": 60, "r": 20, "t": top, "b": bottom}
    return figure.update_layout(template="none", height=height, margin=margin)
