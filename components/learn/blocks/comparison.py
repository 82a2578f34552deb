"""Blocks on fair comparison: the uncertainty of a score, and all methods beside DPPA."""

from __future__ import annotations

from typing import Any

from dppa_core.methods.registry import METHODS
from dppa_core.parameter_fields import check_number
from dppa_core.tasks.intervals import wilson

from ...session.measured import measured_part
from .context import Arguments, BlockContext

ITEMS = range(10, 1001, 10)
QUOTED_SHARE = 0.8
"""The share of right answers used in the text."""


def interval_width(arguments: Arguments, _context: BlockContext) -> dict[str, Any]:
    """The 95 % interval of a {"share"} of right answers, over the number of questions."""
    share = check_number("share", arguments.get("share", QUOTED_SHARE), 0.5, 1.0)
    rows = [(n, right, *wilson(right, n)) for n in ITEMS for right in [round(share * n)]]
    few, many = (wilson(round(QUOTED_SHARE * n), n) for n in (50, 200))
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


def leaderboard(_arguments: Arguments, _context: BlockContext) -> dict[str, Any]:
    """All methods on the embedded models: measured retention, and the difference from DPPA."""
    board = measured_part("leaderboard")
    titles = {method.name: method.title for method in METHODS}
    rows = [row | {"title": titles[row["method"]]} for row in board["rows"]]
    return {"rows": rows, "figures": board["figures"]}
