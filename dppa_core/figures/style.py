"""The page's colours for any figure."""

from __future__ import annotations

import plotly.graph_objects as go

LIGHT = {"paper": "#fffdf8", "ink": "#1f1d18", "line": "#d9d3c4"}
DARK = {"paper": "#1f2124", "ink": "#ece8df", "line": "#3a3d42"}


def themed(figure: go.Figure, *, dark: bool = False) -> go.Figure:
    """The same figure, changed in place, on the page's paper with its ink and lines."""
    colours = DARK if dark else LIGHT
    axis = {"gridcolor": colours["line"], "linecolor": colours["line"], "zeroline": False}
    return figure.update_layout(
        paper_bgcolor=colours["paper"],
        plot_bgcolor=colours["paper"],
        font={"color": colours["ink"]},
        xaxis=axis,
        yaxis=axis,
    )
