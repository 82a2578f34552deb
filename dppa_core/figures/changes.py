"""Figures of single changes: how large they are and which stay, and where two models agree."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dppa_core.errors import InvalidValue
from dppa_core.figures.matrices import heatmap
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.overlap import Meeting
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.pruning.rate_table import RATES, rate_table

KEPT, DROPPED = "#0072B2", "#b9b3a5"


def distribution(
    profile: DeltaProfile, rate: float, parameters: PruningParameters | None = None
) -> go.Figure:
    """A histogram of |d| on logarithmic bins: how many elements stay and how many are dropped.

    Args:
        rate: Pruning rate in steps of 0.01, in [0, 1].

    Raises:
        InvalidValue: a rate between two steps, or outside.
    """
    column = _column(rate)
    table = rate_table(profile, parameters)
    kept = table.histogram * table.kept_histogram[:, column]
    middle = np.sqrt(table.edges[:-1] * table.edges[1:])
    figure = go.Figure()
    for name, counts, colour in (
        ("kept", kept, KEPT),
        ("dropped", table.histogram - kept, DROPPED),
    ):
        figure.add_bar(
            x=middle,
            y=counts,
            width=np.diff(table.edges),
            name=name,
            marker={"color": colour},
            hovertemplate="|d| %{x:.2g}: %{y:,.0f}<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(type="log", title="|d|, change of a weight")
    figure.update_yaxes(title="elements", rangemode="tozero")
    return figure.update_layout(barmode="stack", template="none", bargap=0)


def agreement(meeting: Meeting, profile: DeltaProfile, rate: float = 0.0) -> go.Figure:
    """A heatmap: of the elements that both models keep, the share changed in the same direction.

    Args:
        meeting: Of two models; see `count_meetings`.
        profile: Of one of them: it names the modules.
        rate: Pruning rate of both in steps of 0.01; 0 counts what both change.

    Raises:
        InvalidValue: a rate between two steps, or no element that both keep.
    """
    column = _column(rate)
    sums: dict[tuple[int, str], list[int]] = {}
    for row, item in enumerate(profile.modules):
        place = sums.setdefault((item.module.layer, item.module.kind), [0, 0])
        place[0] += int(meeting.both[row, column] - meeting.opposed[row, column])
        place[1] += int(meeting.both[row, column])
    shares = {place: same / both for place, (same, both) in sums.items() if both}
    if not shares:
        raise InvalidValue(
            f"{meeting.first} and {meeting.second} keep no element in common at the rate {rate:g}. "
            "Take a lower rate."
        )
    return heatmap(shares, "in the same direction")


def _column(rate: float) -> int:
    column = round(rate * (RATES - 1))
    if not 0 <= rate <= 1 or abs(column - rate * (RATES - 1)) > 1e-9:
        raise InvalidValue(f"rate must be in [0, 1], in steps of 0.01; got {rate!r}.")
    return column
