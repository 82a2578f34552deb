"""Rows and boards by hand."""

from dataclasses import replace
from typing import Any

from dppa_core.methods.registry import get_method
from dppa_core.tasks import DOMAINS
from dppa_lab.zoo.results.choosing import ChosenValues
from dppa_lab.zoo.results.entry import entry
from dppa_lab.zoo.results.leaderboard import LeaderboardRow, board_json
from dppa_lab.zoo.results.merge_examiner import Added
from dppa_lab.zoo.results.retained import retained_interval

OWN_SHARES = dict.fromkeys(DOMAINS, 0.8)


def row(
    method: str, *rights: int, n: int = 100, moved: float = 1.0, **changes: object
) -> LeaderboardRow:
    """A row with given right answers of n per domain; fewer are a subset of more."""
    hits = {
        domain: tuple(place < right for place in range(n))
        for domain, right in zip(DOMAINS, rights, strict=True)
    }
    merge = replace(entry(get_method(method)), changes=changes)
    values = {axis.name: moved * axis.start for axis in merge.axes()}
    chosen = ChosenValues(values, 9, 3, values)
    kept = retained_interval(hits, OWN_SHARES)
    return LeaderboardRow(merge, chosen, hits, (Added(0.5, 0.25, 0.75),), kept)


def board(
    *rows: LeaderboardRow, variants: tuple[tuple[str, LeaderboardRow], ...] = ()
) -> dict[str, Any]:
    return {
        **board_json(rows, variants, OWN_SHARES),
        "own": OWN_SHARES,
        "refused": {"slerp": "takes two."},
    }
