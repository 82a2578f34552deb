"""What searched settings bring back of what pruning by magnitude costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

import numpy as np

from dppa_core.tuning.advice.facts import PROBE_KEEPS
from dppa_lab.zoo.study.compare import LEAST_SEEDS, student_interval
from dppa_lab.zoo.survey.rule import LEAST_OWN, Record, shrunk, title

BINS = ((0.9, 1.01), (0.5, 0.9), (0.0, 0.5))
"""Foretold retentions that are counted together."""
FAR = 0.05
"""A difference of retentions that is counted."""
RIVALS = ("dppa", "dare")


def regained_figures(records: Sequence[Record]) -> dict[str, Any]:
    """What a search of DPPA's settings brings back where magnitude loses a tenth or more, beside
    what shrinking costs; empty if nothing was searched there."""
    found, more_than_one = [], dict[str, list[float]]()
    for one in records:
        own = one["own"].count("1")
        for at in one["places"] if own >= LEAST_OWN * len(one["own"]) else ():
            kept = at["pruned"]["magnitude"].count("1") / own
            if "searched" in at and kept < PROBE_KEEPS:
                back = [
                    at["searched"][method]["hits"].count("1") / own - kept
                    for method in ("dppa", "magnitude")
                ]
                found.append((1 - kept, 1 - shrunk(one, at["energy"]), *back))
                more_than_one.setdefault(title(one["set"]), []).append(back[0] - back[1])
    if not found:
        return {}
    lost, shrinking, *back = map(fmean, zip(*found, strict=True))
    return {
        "places": len(found),
        "sets": len(more_than_one),
        "lost": lost,
        "lost by shrinking": shrinking,
        "back by DPPA": back[0],
        "back by one factor": back[1],
        "DPPA minus one factor, by sets": _over_sets(more_than_one),
        "places with more back than shrinking costs": sum(
            dppa > shrinking + FAR for _, shrinking, dppa, _ in found
        ),
    }


def added_figures(
    records: Sequence[Record], foretold: Mapping[tuple[str, str, float], float]
) -> list[dict[str, Any]]:
    """What DPPA and DARE keep beyond magnitude with one factor, by what is foretold: means over
    the deltas of a set, then over the sets.

    Args:
        foretold: Set, domain and rate -> the retention that the best rule foretells.
    """
    rows = []
    for low, high in BINS:
        gaps: dict[str, dict[str, list[float]]] = {name: {} for name in RIVALS}
        for one in records:
            own, name = one["own"].count("1"), title(one["set"])
            for at in one["places"]:
                key = name, one["domain"], at["rate"]
                if "searched" not in at or not low <= foretold.get(key, -1.0) < high:
                    continue
                known = {m: of["hits"].count("1") / own for m, of in at["searched"].items()}
                for rival in RIVALS:
                    gaps[rival].setdefault(name, []).append(known[rival] - known["magnitude"])
        count = sum(map(len, gaps["dppa"].values()))
        if count:
            means = {name: _over_sets(of) for name, of in gaps.items()}
            bounds = {"from": low, "to": min(high, 1.0)}
            rows.append({**bounds, "places": count, "sets": len(gaps["dppa"]), **means})
    return rows


def _over_sets(by_set: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The mean, with an interval over sets if they are enough."""
    means = np.array([np.mean(of) for of in by_set.values()])
    if len(means) < LEAST_SEEDS:
        return {"value": float(means.mean())}
    return asdict(student_interval(means)[0])
