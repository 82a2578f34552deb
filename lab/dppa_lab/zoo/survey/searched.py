"""The part of the cost of magnitude pruning that searched settings bring back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

import numpy as np

from dppa_core.tuning.advice.facts import PROBE_KEEPS
from dppa_lab.zoo.study.seed_comparison import LEAST_SEEDS, student_interval
from dppa_lab.zoo.survey.deltas import Record, answering, retention, set_name, shrunk

BINS = ((0.9, 1.01), (0.5, 0.9), (0.0, 0.5))
"""Foretold retentions that are counted together."""
FAR = 0.05
"""A difference of retentions that is counted."""
RIVALS = ("dppa", "dare")


def regained_figures(records: Sequence[Record]) -> dict[str, Any]:
    """The gain of searching DPPA's settings where magnitude loses a tenth or more, beside the cost
    of shrinking; empty if nothing was searched there."""
    rows, beyond_one = [], dict[str, list[float]]()
    for record in answering(records):
        for at in record["places"]:
            kept = retention(record, at["pruned"]["magnitude"])
            if "searched" in at and kept < PROBE_KEEPS:
                back = [_searched(record, at, name) - kept for name in ("dppa", "magnitude")]
                rows.append((1 - kept, 1 - shrunk(record, at["energy"]), *back))
                beyond_one.setdefault(set_name(record), []).append(back[0] - back[1])
    if not rows:
        return {}
    lost, shrinking, by_dppa, by_factor = map(fmean, zip(*rows, strict=True))
    return {
        "places": len(rows),
        "sets": len(beyond_one),
        "lost": lost,
        "lost by shrinking": shrinking,
        "back by DPPA": by_dppa,
        "back by one factor": by_factor,
        "DPPA minus one factor, by sets": _over_sets(beyond_one),
        "places with more back than shrinking costs": sum(
            dppa > shrinking + FAR for _, shrinking, dppa, _ in rows
        ),
    }


def added_figures(
    records: Sequence[Record], foretold: Mapping[tuple[str, str, float], float]
) -> list[dict[str, Any]]:
    """Retentions of DPPA and DARE minus magnitude's with one factor, by the foretold retention:
    means over the deltas of a set, then over the sets.

    Args:
        foretold: Set, domain and rate -> the retention that the best rule foretells.
    """
    rows = []
    for low, high in BINS:
        gaps: dict[str, dict[str, list[float]]] = {name: {} for name in RIVALS}
        for record in records:
            name = set_name(record)
            for at in record["places"]:
                guess = foretold.get((name, record["domain"], at["rate"]), -1.0)
                if "searched" in at and low <= guess < high:
                    plain = _searched(record, at, "magnitude")
                    for rival in RIVALS:
                        gap = _searched(record, at, rival) - plain
                        gaps[rival].setdefault(name, []).append(gap)
        count = sum(map(len, gaps["dppa"].values()))
        if count:
            means = {name: _over_sets(by_set) for name, by_set in gaps.items()}
            bounds = {"from": low, "to": min(high, 1.0)}
            rows.append({**bounds, "places": count, "sets": len(gaps["dppa"]), **means})
    return rows


def _searched(record: Record, at: Record, method: str) -> float:
    """The retention of a method with the settings that a search chose."""
    return retention(record, at["searched"][method]["hits"])


def _over_sets(by_set: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The mean, with an interval over sets if they are enough."""
    means = np.array([np.mean(gaps) for gaps in by_set.values()])
    if len(means) < LEAST_SEEDS:
        return {"value": float(means.mean())}
    return asdict(student_interval(means)[0])
