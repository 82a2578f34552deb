"""Rules that foretell what a delta keeps when it is pruned, fitted to measured deltas.

A logistic curve is fitted to retention over some figures of the profile, by maximum
quasi-likelihood (Papke and Wooldridge, 1996: a fraction as the outcome). Rules are compared by
their error on sets that the fit has not seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.tuning.advice.kept_rule import KeptRule
from dppa_lab.zoo.survey.deltas import PrunedPlace

Names = tuple[str, ...]
"""Figures of a rule (`kept_rule.figures`); without any, all retentions are alike."""
RULES: tuple[Names, ...] = (
    (),
    ("rate",),
    ("energy kept",),
    ("size",),
    ("noise",),
    ("rate", "size"),
    ("energy kept", "size"),
    ("shrunk",),
)
SYMBOLS = {
    "rate": "logit p",
    "energy kept": "logit E",
    "size": "ln s",
    "noise": "ln n",
    "shrunk": "logit R",
}
"""Figures of the rules, as lab/docs/survey.md writes them."""
QUESTIONED = "shrunk"
"""The figure for which questions are asked."""
_STEPS, _RIDGE = 60, 1e-4
"""Newton steps, and the penalty that keeps a perfect fit finite."""


def fit(places: Sequence[PrunedPlace], names: Names) -> KeptRule:
    """The rule on these figures that makes the retentions most likely."""
    rows = np.array([[1.0, *(place.figures[name] for name in names)] for place in places])
    middle = rows.mean(axis=0) * (np.arange(rows.shape[1]) > 0)
    varied = rows.std(axis=0) > 1e-9 * np.abs(rows).max(axis=0)  # not by rounding alone
    spread = np.where(varied, rows.std(axis=0), 1.0)
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


def foretold_elsewhere(places: Sequence[PrunedPlace], names: Names) -> Float64[ndarray, " places"]:
    """Each place's retention by the rule that the sets of other bases give; needs two bases."""
    foretold = np.zeros(len(places))
    for base in dict.fromkeys(place.base for place in places):
        rule = fit([place for place in places if place.base != base], names)
        for number, place in enumerate(places):
            if place.base == base:
                foretold[number] = rule.foretold(place.figures)
    return foretold


def error(places: Sequence[PrunedPlace], foretold: Float64[ndarray, " places"]) -> float:
    """Mean distance from the measured retentions (those above 1 count as 1), a mean of the sets."""
    sets = np.array([place.set for place in places])
    gaps = np.abs(np.clip([place.kept for place in places], 0.0, 1.0) - foretold)
    return float(np.mean([gaps[sets == name].mean() for name in dict.fromkeys(sets.tolist())]))


def errors_elsewhere(
    places: Sequence[PrunedPlace], rates: Sequence[float] = ()
) -> dict[Names, float]:
    """The error of every rule on sets of other bases, at some rates; at all if none is named."""
    at = [number for number, place in enumerate(places) if not rates or place.rate in rates]
    if not at:
        return dict.fromkeys(RULES, math.nan)
    some = [places[number] for number in at]
    return {names: error(some, foretold_elsewhere(places, names)[at]) for names in RULES}


def best_rule(errors: Mapping[Names, float], without: str | None = None) -> Names:
    """The figures with the least error, of equal ones the fewest; a figure may be left out."""
    rules = [names for names in errors if without not in names]
    return min(rules, key=lambda names: (round(errors[names], 4), len(names)))
