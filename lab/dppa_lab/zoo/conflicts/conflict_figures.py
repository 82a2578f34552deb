"""What merges of two manners keep of both, over training seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from dppa_core.tasks.intervals import student

Record = Mapping[str, Any]
"""One pair, as `measure_conflicts` leaves it."""


def conflict_figures(records: Sequence[Record]) -> dict[str, Any]:
    """The kept shares of the manners: of the worse one of each pair, and of both in the mean.

    A manner is kept by accuracy ÷ that of its own model. Shares are averaged over the pairs of a
    seed; the interval, Student's at 95 %, is over seeds.
    """
    if not records:
        return {"pairs": 0, "seeds": 0, "methods": {}}
    seeds = sorted({int(record["set"]["seed"]) for record in records})
    first, *_ = records
    return {
        "pairs": len(records),
        "seeds": len(seeds),
        "items": len(first["alone"][first["pair"][0]][first["pair"][0]]),
        "search items": first["search_items"],
        "settings": max(method["settings"] for method in first["methods"]),
        "other manner": fmean(map(_other_manner, records)),
        "methods": {
            row["title"]: _method(records, row["title"], seeds) for row in first["methods"]
        },
    }


def _other_manner(record: Record) -> float:
    """Mean accuracy of the two models on each other's questions."""
    first, second = record["pair"]
    alone = record["alone"]
    return fmean([_accuracy(alone[first][second]), _accuracy(alone[second][first])])


def _method(records: Sequence[Record], title: str, seeds: Sequence[int]) -> dict[str, Any]:
    kept = {seed: [_kept(r, title) for r in records if r["set"]["seed"] == seed] for seed in seeds}
    settings = [_row(record, title)["values"] for record in records]
    ratios = [
        max(values["first"], values["second"]) / min(values["first"], values["second"])
        for values in settings
        if "second" in values
    ]
    return {
        "worse": _over_seeds([fmean(map(min, shares)) for shares in kept.values()]),
        "mean": _over_seeds([fmean(map(fmean, shares)) for shares in kept.values()]),
        "both answered": sum(min(share) >= 0.9 for shares in kept.values() for share in shares),
        "ratio": fmean(ratios) if ratios else 1.0,
    }


def _kept(record: Record, title: str) -> list[float]:
    """The kept share of each manner of a pair; 1 for a manner that its own model has not."""
    hits = _row(record, title)["hits"]
    own = {name: _accuracy(record["alone"][name][name]) for name in record["pair"]}
    return [_accuracy(hits[name]) / own[name] if own[name] else 1.0 for name in record["pair"]]


def _row(record: Record, title: str) -> Mapping[str, Any]:
    return next(method for method in record["methods"] if method["title"] == title)


def _accuracy(hits: str) -> float:
    return hits.count("1") / len(hits)


def _over_seeds(values: Sequence[float]) -> dict[str, float]:
    """The mean with its interval, without a width for a single seed; the least and the most."""
    mean, n = fmean(values), len(values)
    reach = student(n - 1) * stdev(values) / sqrt(n) if n > 1 else 0.0
    ends = {"low": mean - reach, "high": mean + reach}
    return {"value": mean, **ends, "least": min(values), "most": max(values)}
