"""What a delta keeps when magnitude pruning prunes it, foretold from its profile.

A logistic curve is fitted to retention over one or two figures of the profile, by maximum
quasi-likelihood (Papke and Wooldridge, 1996: a fraction as the outcome). Rules are compared by
their error on sets that the fit has not seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.studies.zoo.trained_set import set_title

RULES = (
    ("rate",),
    ("energy kept",),
    ("size",),
    ("size removed",),
    ("rate", "size"),
    ("energy kept", "size"),
)
"""The figures of each rule; see `figures`."""
_STEPS, _RIDGE = 60, 1e-4
"""Newton steps, and the penalty that keeps a perfect fit finite."""
_EDGE = 1e-6


@dataclass(frozen=True, slots=True)
class PrunedPlace:
    """A delta at one rate."""

    set: str
    """Size, regime and seed."""
    base: tuple[str, int]
    """Size and seed: sets of one base are left out together."""
    domain: str
    rate: float
    change: float
    """‖d‖/‖W‖ over the modules."""
    energy: float
    """Share of the sum of d² that is kept."""
    kept: float
    """Accuracy pruned by magnitude ÷ the domain model's own."""


@dataclass(frozen=True, slots=True)
class KeptRule:
    """Foretells the retention of magnitude pruning."""

    figures: tuple[str, ...]
    weights: tuple[float, ...]
    """Of 1, then of each figure; their sum of products is the logit of the retention."""

    def foretold(self, place: PrunedPlace) -> float:
        """The retention, as a fraction."""
        row = _row(place, self.figures)
        return 1 / (1 + math.exp(-min(max(float(row @ np.array(self.weights)), -50.0), 50.0)))


def places_of(records: Sequence[Mapping[str, Any]]) -> list[PrunedPlace]:
    """All places of some records of `survey_set`; models that answer nothing are left out."""
    found = []
    for one in records:
        own = one["own"].count("1")
        for at in one["places"] if own else ():
            kept = at["pruned"].count("1") / own
            told = one["set"]
            names = set_title(told), (told["size"], told["seed"]), one["domain"]
            found.append(PrunedPlace(*names, at["rate"], one["change"], at["energy"], kept))
    return found


def figures(place: PrunedPlace) -> dict[str, float]:
    """What a rule may use, on scales on which a logit is about straight."""
    return {
        "rate": _logit(place.rate),
        "energy kept": _logit(place.energy),
        "size": math.log(place.change),
        "size removed": math.log(place.change * math.sqrt(max(1 - place.energy, _EDGE))),
    }


def fit(places: Sequence[PrunedPlace], names: tuple[str, ...]) -> KeptRule:
    """The rule on these figures that makes the retentions most likely."""
    rows = np.stack([_row(place, names) for place in places])
    middle = rows.mean(axis=0) * (np.arange(rows.shape[1]) > 0)
    spread = np.where(rows.std(axis=0) > 0, rows.std(axis=0), 1.0)
    x = (rows - middle) / spread
    y = np.clip([place.kept for place in places], 0.0, 1.0)
    weights = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        share = 1 / (1 + np.exp(-np.clip(x @ weights, -50, 50)))
        bend = (x * (share * (1 - share))[:, None]).T @ x + _RIDGE * np.eye(x.shape[1])
        weights = weights + np.linalg.solve(bend, x.T @ (y - share) - _RIDGE * weights)
    weights = weights / spread
    weights[0] -= float(weights[1:] @ middle[1:])
    return KeptRule(names, tuple(map(float, weights)))


def foretold_elsewhere(
    places: Sequence[PrunedPlace], names: tuple[str, ...]
) -> Float64[ndarray, " places"]:
    """Each place's retention by the rule that the sets of other bases give; needs two bases."""
    found = np.zeros(len(places))
    for left in dict.fromkeys(place.base for place in places):
        rule = fit([place for place in places if place.base != left], names)
        for at, place in enumerate(places):
            if place.base == left:
                found[at] = rule.foretold(place)
    return found


def error(places: Sequence[PrunedPlace], foretold: Float64[ndarray, " places"]) -> float:
    """Mean distance from the measured retentions (those above 1 count as 1), a mean of the sets."""
    sets = np.array([place.set for place in places])
    gaps = np.abs(np.clip([place.kept for place in places], 0.0, 1.0) - foretold)
    return float(np.mean([gaps[sets == one].mean() for one in dict.fromkeys(sets.tolist())]))


def _row(place: PrunedPlace, names: Sequence[str]) -> Float64[ndarray, " figures"]:
    known = figures(place)
    return np.array([1.0, *(known[name] for name in names)])


def _logit(share: float) -> float:
    inside = min(max(share, _EDGE), 1 - _EDGE)
    return math.log(inside / (1 - inside))
