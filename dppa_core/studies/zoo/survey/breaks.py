"""Where pruning by magnitude breaks a model, and which figure foretells the place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from dppa_core.evaluation.tables import markdown_table
from dppa_core.studies.zoo.survey.rule import LEAST_OWN, Record, kind, shrunk, title
from dppa_core.tuning.advice.facts import PROBE_KEEPS

DRAWS, SEED = 10_000, 0
"""Draws of the bootstrap over sets."""
LEAST_BREAKS = 4
"""Fewer break points have no correlation that means anything."""


@dataclass(frozen=True, slots=True)
class BreakPoint:
    """The rates from which one delta keeps less than nine tenths of its model's answers."""

    set: str
    kind: str
    """Size, regime and scale of the set."""
    change: float
    """‖d‖/‖W‖ over the modules."""
    pruned: float
    """Pruned by magnitude."""
    shrunk: float
    """Nothing dropped, but shrunk by what magnitude pruning keeps of the sum of d²."""


def crossing(rates: Sequence[float], kept: Sequence[float]) -> float | None:
    """The rate at which retention falls below `PROBE_KEEPS`, on straight lines over logit p between
    the measured ones; None if that is not between two of them."""
    pairs = list(zip(rates, kept, strict=True))
    for (before, high), (after, low) in zip(pairs, pairs[1:], strict=False):
        if high >= PROBE_KEEPS > low:
            way = (high - PROBE_KEEPS) / (high - low)
            place = (1 - way) * _logit(before) + way * _logit(after)
            return 1 / (1 + math.exp(-place))
        if high < PROBE_KEEPS:
            return None
    return None


def break_points(records: Sequence[Record]) -> list[BreakPoint]:
    """Of each delta that has both; without models that answer too little (`LEAST_OWN`)."""
    found = []
    for one in records:
        own, places = one["own"].count("1"), one["places"]
        if own < LEAST_OWN * len(one["own"]):
            continue
        rates = [at["rate"] for at in places]
        pruned = crossing(rates, [at["pruned"]["magnitude"].count("1") / own for at in places])
        whole = crossing(rates, [shrunk(one, at["energy"]) for at in places])
        if pruned and whole:
            name = title(one["set"])
            found.append(BreakPoint(name, kind(name), one["change"], pruned, whole))
    return found


def told(records: Sequence[Record]) -> list[str]:
    """A section of the page; empty with too few break points."""
    found = break_points(records)
    if len(found) < LEAST_BREAKS:
        return []
    rows = []
    for name in dict.fromkeys(one.kind for one in found):
        of = [one for one in found if one.kind == name]
        means = (fmean(one.change for one in of), *_means(of))
        rows.append([name, f"{len(of)}", f"{means[0]:.3f}", *(f"{100 * m:.0f}" for m in means[1:])])
    whole, size = _correlation(found, "shrunk"), _correlation(found, "change")
    middle = median(one.pruned for one in found)
    off = 100 * fmean(abs(one.pruned - one.shrunk) for one in found)
    same = 100 * fmean(abs(one.pruned - middle) for one in found)
    return [
        "## Where pruning breaks a model",
        f"A model *breaks* at the rate from which it keeps less than {100 * PROBE_KEEPS:g} %. The "
        f"break point of {len(found)} deltas lies between two measured rates, pruned by magnitude "
        "and shrunk by E; means in per cent:",
        markdown_table(
            ["models", "deltas", "‖d‖/‖W‖", "breaks, pruned", "breaks, shrunk by E"], rows
        ),
        "The break point is foretold by how much *shorter* a model's delta may become, not by its "
        f"size. Its logit correlates {whole} with that of the shrunk delta, and {size} with ln "
        "‖d‖/‖W‖ (in brackets 95 % intervals, bootstrap over sets). The rate at which the "
        f"shrunk delta breaks is wrong by {off:.0f} points on average, one rate for all (the "
        f"median, {100 * middle:.0f} %) by {same:.0f}. So magnitude pruning breaks a model about "
        "where its delta has become too short. That part of the loss a factor above 1 can undo; "
        "what is dropped at a right angle to d it cannot.",
    ]


def _means(found: Sequence[BreakPoint]) -> tuple[float, float]:
    return fmean(one.pruned for one in found), fmean(one.shrunk for one in found)


def _correlation(found: Sequence[BreakPoint], figure: str) -> str:
    """Between the logit of the break point and a figure, with its interval."""
    names = list(dict.fromkeys(one.set for one in found))
    sets = np.array([names.index(one.set) for one in found])
    y = np.array([_logit(one.pruned) for one in found])
    of = {"shrunk": [_logit(one.shrunk) for one in found]}
    of["change"] = [math.log(one.change) for one in found]
    x = np.array(of[figure])
    value = _weighted(x, y, np.ones(len(x)))
    if math.isnan(value):
        return "–"
    drawn = []
    for seed in np.random.default_rng(SEED).integers(len(names), size=(DRAWS, len(names))):
        weights = np.bincount(seed, minlength=len(names))[sets].astype(float)
        drawn.append(_weighted(x, y, weights))
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _weighted(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    total = weights.sum()
    dx, dy = x - (weights @ x) / total, y - (weights @ y) / total
    spread = math.sqrt((weights @ dx**2) * (weights @ dy**2))
    return float((weights * dx) @ dy / spread) if spread else math.nan


def _logit(share: float) -> float:
    return math.log(share / (1 - share))
