"""Blocks on fair comparison: the uncertainty of a score, and all methods beside DPPA.

The numbers come from `dppa leaderboard`.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from dppa_core.methods.registry import METHODS
from dppa_core.parameter_fields import check_number
from dppa_core.tasks.intervals import wilson

from ...session.shipped import shipped
from .context import Arguments, BlockContext

LEADERBOARD = shipped("docs/leaderboard.json")
ITEMS = range(10, 1001, 10)
SHARE = 0.8
"""The share of right answers used in the text."""


def interval_width(arguments: Arguments, _bench: BlockContext) -> dict[str, Any]:
    """The 95 % interval of a score over the number of questions, for a {"share"} of right
    answers."""
    share = check_number("share", arguments.get("share", SHARE), 0.5, 1.0)
    rows = [(n, right, *wilson(right, n)) for n in ITEMS for right in [round(share * n)]]
    few, many = (wilson(round(SHARE * n), n) for n in (50, 200))
    return {
        "share": share,
        "rows": [[n, round(low, 5), round(high, 5), right] for n, right, low, high in rows],
        "figures": {
            "few-low": few[0],
            "few-high": few[1],
            "many-low": many[0],
            "many-high": many[1],
        },
    }


@cache
def _leaderboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(LEADERBOARD.read_text(encoding="utf-8"))
    return found


def leaderboard(_arguments: Arguments, _bench: BlockContext) -> dict[str, Any]:
    """All methods on the embedded models: measured retention, and the difference from DPPA."""
    known = {method.name: method for method in METHODS}
    rows = [
        {
            "method": row["method"],
            "title": known[row["method"]].title,
            "summary": known[row["method"]].summary,
            "retention": row["retention"],
            "mean": row["against_dppa"]["mean"],
            "low": row["against_dppa"]["ci95"][0],
            "high": row["against_dppa"]["ci95"][1],
            "significant": row["against_dppa"]["significant"],
        }
        for row in _leaderboard()["rows"]
    ]
    rows.sort(key=lambda row: -row["retention"])
    return {"rows": rows, "figures": _figures(rows)}


def _figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    others = [row for row in rows if row["method"] != "dppa"]
    better = [row["title"] for row in others if row["significant"] and row["mean"] > 0]
    level = [row["title"] for row in others if not row["significant"]]
    own = next(row for row in rows if row["method"] == "dppa")
    dare = next(row for row in rows if row["method"] == "dare")
    (whole,) = (one for one in _leaderboard()["variants"] if one["method"] == "dare")
    return {
        "place": rows.index(own) + 1,
        "methods": len(rows),
        "better": ", ".join(better),
        "better-count": len(better),
        "level": ", ".join(level),
        "dppa": own["retention"],
        "dare": dare["retention"],
        "dare-whole": whole["retention"],
    }
