"""The table and the plot of two manners in one merge, from their figures."""

from __future__ import annotations

from typing import Any

from dppa_core.charts.tables import markdown_table
from dppa_lab.reports.data import Values
from dppa_lab.reports.form_tables import kept_text


def conflict_table(figures: Values) -> str:
    """Method -> per cent kept of two manners by one merge, and the ratio of the coefficients."""
    rows = [
        [
            title,
            *(
                kept_text(row[key]) if figures["seeds"] > 1 else f"{100 * row[key]['value']:.0f}"
                for key in ("worse", "mean")
            ),
            f"{row['both answered']} of {figures['pairs']}",
            f"{row['ratio']:.1f}",
        ]
        for title, row in figures["methods"].items()
    ]
    heads = ["each in one merge", "worse manner", "mean", "pairs with 90 % of both", "ratio"]
    return markdown_table(heads, rows) if rows else ""


def two_manners(figures: Values) -> dict[str, Any]:
    """What each method keeps of the worse manner of a pair, a row each, for the page."""
    methods = figures["methods"]
    worse = {title: row["worse"] for title, row in methods.items()}
    ends = {"y": "value", "low": "least", "high": "most"}
    return {
        "pairs": figures["pairs"],
        "seeds": figures["seeds"],
        "settings": figures["settings"],
        "x": list(worse),
        **{key: [round(100 * row[end], 1) for row in worse.values()] for key, end in ends.items()},
    }
