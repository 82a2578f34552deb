"""A figure of scores with their intervals."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go


def scores(frame: Any) -> go.Figure:
    """Accuracies with 95 % intervals, a row for each model and a colour for each domain.

    Args:
        frame: `to_frame()` of an evaluation, or of one side by side.
    """
    figure = go.Figure()
    measured = frame.dropna(subset=["accuracy_share"])
    for domain, rows in measured.groupby("domain", sort=False):
        share = 100 * rows["accuracy_share"]
        figure.add_scatter(
            x=share,
            y=rows["model"],
            mode="markers",
            name=str(domain),
            error_x={
                "type": "data",
                "array": 100 * rows["accuracy_high"] - share,
                "arrayminus": share - 100 * rows["accuracy_low"],
            },
            hovertemplate="%{y}: %{x:.1f} %<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(title="accuracy (%), 95 % interval", range=[0, 100])
    figure.update_yaxes(autorange="reversed", type="category")
    return figure.update_layout(template="none", scattermode="group")
