"""The study's numbers: comparisons over seeds, by kind of set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from statistics import fmean
from typing import Any

from dppa_core.tuning.search.axes import FACTOR_BOUNDS, LEAST_STRENGTH, LONE_FACTOR_BOUNDS
from dppa_lab.zoo.study.merges import MAIN_RATE, METHODS
from dppa_lab.zoo.study.seed_comparison import (
    LEAST_SEEDS,
    PRIMARY,
    SECONDARY,
    MeasuredSet,
    SeedComparison,
    embeddings_whole,
    gap_over_items,
    hits_of,
    keys_of,
    retention,
    unmerged_retention,
)
from dppa_lab.zoo.study.study_sets import (
    JOINED,
    Sets,
    claim_rates,
    compare,
    confirmation,
    groups,
    without_new,
)

ONE_SEED = "one seed"
"""In the place of a verdict: an interval over items alone."""


def study_figures(sets: Sets) -> dict[str, Any]:
    """Retentions and comparisons by kind of set, and the values that the searches ended at."""
    planned, new = without_new(sets)
    kinds = {name: _of_kind(members) for name, members in groups(planned).items()}
    verdicts = [
        at["dppa-task_arithmetic"]["verdict"]
        for name, kind in kinds.items()
        for at in kind["rates"].values()
        if not name.startswith(JOINED) and "dppa-task_arithmetic" in at
    ]
    verdicts = [verdict for verdict in verdicts if verdict not in ("worthless", ONE_SEED)]
    return {
        "sets": len(sets),
        "sets of the study": len(planned),
        "sets of the confirmation": len(new),
        "kinds": kinds,
        "DPPA minus whole deltas, that can be told": len(verdicts),
        "DPPA minus whole deltas, less": verdicts.count("less"),
        "confirmation": _confirmed(new),
        "searches": _ends(planned),
    }


def _of_kind(sets: Sets) -> dict[str, Any]:
    """Retentions and comparisons of a kind of set at each rate of all entries at which every set
    has DPPA and magnitude."""
    own_hits = {domain: [study["own"][domain] for study in sets] for domain in sets[0]["own"]}
    rates = sorted({row["rate"] for study in sets for row in study["merges"] if row["rate"]})
    measured = [{(row["name"], row["rate"]) for row in study["merges"]} for study in sets]
    return {
        "sets": len(sets),
        "seeds": [study["set"]["seed"] for study in sets],
        "one model": fmean(map(unmerged_retention, sets)),
        "own": {d: fmean(map(_share, hits)) for d, hits in own_hits.items()},
        "rates": {
            f"{100 * rate:g}": _at_rate(sets, rate)
            for rate in rates
            if all({("dppa", rate), ("magnitude", rate)} <= rows for rows in measured)
        },
    }


def _share(hits: str) -> float:
    return hits.count("1") / len(hits)


def _at_rate(sets: Sets, rate: float) -> dict[str, Any]:
    shared = set.intersection(*({row["key"] for row in study["merges"]} for study in sets))
    names = [name for name in METHODS if shared.intersection(keys_of(name, rate))]
    figures: dict[str, Any] = {"kept": {name: mean_kept(sets, name, rate) for name in names}}
    if len(sets) >= LEAST_SEEDS:
        for family in (PRIMARY, SECONDARY):
            if rate in claim_rates(sets, family):
                figures |= compared_values(compare(sets, rate, family))
    elif len(sets) == 1:
        figures |= {f"dppa-{name}": _of_one(sets[0], name, rate) for name in names}
    return figures


def mean_kept(sets: Sets, name: str, rate: float) -> float:
    """Mean retention of a merge over the sets."""
    return fmean(retention(hits_of(study, name, rate), study["own"]) for study in sets)


def _of_one(measured: MeasuredSet, rival: str, rate: float) -> dict[str, Any]:
    """DPPA minus another merge of one set, with an interval over its items."""
    dppa, other = (hits_of(measured, name, rate) for name in ("dppa", rival))
    return {**asdict(gap_over_items(dppa, other, measured["own"])), "verdict": ONE_SEED}


def compared_values(gaps: tuple[SeedComparison, ...]) -> dict[str, Any]:
    """Pair -> the wider of both intervals, the corrected p-value and the verdict."""
    return {f"{gap.merge}-{gap.rival}": _values(gap) for gap in gaps}


def _values(gap: SeedComparison) -> dict[str, Any]:
    chance = {"p": gap.p, "corrected": gap.corrected, "verdict": gap.verdict}
    return {**asdict(gap.interval), **chance}


def _confirmed(new: Sets) -> dict[str, Any]:
    """Comparisons of the confirmation, those it calls secondary, and the retentions."""
    figures: dict[str, Any] = {}
    for rate, gaps in confirmation(new).items():
        names = ("task_arithmetic", "magnitude", "dpa", "dppa")
        figures[f"{100 * rate:g}"] = {
            "kept": {name: mean_kept(new, name, rate) for name in names},
            **compared_values(gaps),
            **compared_values(compare(new, rate, [("task_arithmetic", "dppa", "")])),
        }
    if (whole := embeddings_whole(new, MAIN_RATE)) is not None:
        figures["embeddings whole"] = _values(whole)
    return figures


def _ends(sets: Sets) -> dict[str, int]:
    """Numbers of searches of factors and of strengths, and of those that ended at an end."""
    searches: list[Mapping[str, float]] = [
        row["values"] for study in sets for row in study["merges"]
    ]
    factors = [
        any(
            value in (FACTOR_BOUNDS if "coefficient" in values else LONE_FACTOR_BOUNDS)
            for name, value in values.items()
            if name.startswith("factor")
        )
        for values in searches
        if any(name.startswith("factor") for name in values)
    ]
    strengths = [values["strength"] for values in searches if "strength" in values]
    return {
        "of factors": len(factors),
        "of factors, at an end": sum(factors),
        "of strengths": len(strengths),
        "of strengths, at the least": sum(value <= LEAST_STRENGTH for value in strengths),
    }
