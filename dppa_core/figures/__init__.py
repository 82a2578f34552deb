"""Plotly figures of profiles, plans and scores, for notebooks and reports.

Everything returns a `plotly.graph_objects.Figure`; `themed` gives it the page's colours. Plotly
comes with the extra `app`.
"""

from importlib.util import find_spec

if find_spec("plotly") is None:
    raise ImportError("Figures need plotly, which is not installed: pip install plotly.")

from dppa_core.figures.changes import agreement, distribution
from dppa_core.figures.matrices import heatmap, kept_shares, planned_shares
from dppa_core.figures.scores import scores
from dppa_core.figures.style import themed

__all__ = [
    "agreement",
    "distribution",
    "heatmap",
    "kept_shares",
    "planned_shares",
    "scores",
    "themed",
]
