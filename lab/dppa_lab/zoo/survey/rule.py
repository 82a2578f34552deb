"""Rules that foretell what a delta keeps when it is pruned, fitted to measured deltas.

A logistic curve is fitted to retention over some figures of the profile, by maximum
quasi-likelihood (Papke and Wooldridge, 1996: a fraction as the outcome). Rules are compared by
their error on sets that the fit has not seen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.tuning.advice.kept_rule import KeptRule, figures
from dppa_lab.zoo.spec import SIZES
from dppa_lab.zoo.trained_set import set_title

RULES = (
    (),
    ("rate",),
    ("energy kept",),
    ("size",),
    ("noise",),
    ("rate", "size"),
    ("energy kept", "size"),
    ("shrunk",),
)
"""The figures of each rule (`kept_rule.figures`); without any, all retentions are alike."""
SYMBOLS = {
    "rate": "logit p",
    "energy kept": "logit E",
    "size": "ln s",
    "noise": "ln n",
    "shrunk": "logit R",
}
"""Figures of the rules, as lab/docs/survey.md writes them."""
ASKED = "shrunk"
"""The figure for which questions are asked."""
Record = Mapping[str, Any]
"""What `survey_set` found of one delta."""
LEAST_OWN = 0.25
"""Least accuracy of a domain model whose retention is a figure and no noise."""
_SEED = re.compile(r", seed \d+")
_STEPS, _RIDGE = 60, 1e-4
"""Newton steps, and the penalty that keeps a perfect fit finite."""


@dataclass(frozen=True, slots=True)
class PrunedPlace:
    """A delta at one rate."""

    set: str
    """Size, regime and seed, and the scale of the deltas if it is not 1."""
    base: str
    """Hash of the base's weights: sets of one base are left out together."""
    domain: str
    rate: float
    change: float
    """‖d‖/‖W‖ over the modules."""
    energy: float
    """Share of the sum of d² that magnitude pruning keeps, whatever the method."""
    shrunk: float
    """Retention of the whole delta if the modules' part is multiplied by `energy`."""
    kept: float
    """Accuracy when pruned ÷ the domain model's own."""

    @property
    def figures(self) -> dict[str, float]:
        """See `kept_rule.figures`."""
        return figures(self.rate, self.energy, self.change, self.shrunk)


def places_of(records: Sequence[Record], method: str) -> list[PrunedPlace]:
    """All places of some records of `survey_set`, pruned by magnitude or DARE; without models that
    answer too little (`LEAST_OWN`)."""
    found = []
    for one in records:
        own = one["own"].count("1")
        for at in one["places"] if own >= LEAST_OWN * len(one["own"]) else ():
            kept = at["pruned"][method].count("1") / own
            names = title(one["set"]), one["set"]["base"], one["domain"]
            figures = at["rate"], one["change"], at["energy"], shrunk(one, at["energy"])
            found.append(PrunedPlace(*names, *figures, kept))
    return found


def shrunk(record: Record, factor: float) -> float:
    """The retention at a factor in [0, 1], on straight lines between the measured ones."""
    known = {float(name): hits.count("1") for name, hits in record["shrunk"].items()}
    known[1.0] = own = record["own"].count("1")
    factors = sorted(known)
    return float(np.interp(factor, factors, [known[one] / own for one in factors]))


def title(told: Mapping[str, Any]) -> str:
    """Size, regime and seed of a set, and the scale of its deltas if it is not 1."""
    scale = told.get("scale", 1)
    return set_title(told) + ("" if scale == 1 else f", × {scale:g}")


def kind(name: str) -> str:
    """The title of a set without its seed."""
    return _SEED.sub("", name)


def is_trained_here(record: Record) -> bool:
    """Whether `dppa zoo train` trains the base from nothing, too: rules are fitted to such deltas
    alone, and tested on the others."""
    return record["set"]["size"] in SIZES


def trained_here(records: Sequence[Record]) -> list[Record]:
    """Those of them."""
    return list(filter(is_trained_here, records))


def fit(places: Sequence[PrunedPlace], names: tuple[str, ...]) -> KeptRule:
    """The rule on these figures that makes the retentions most likely."""
    rows = np.stack([_row(place, names) for place in places])
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


def foretold_elsewhere(
    places: Sequence[PrunedPlace], names: tuple[str, ...]
) -> Float64[ndarray, " places"]:
    """Each place's retention by the rule that the sets of other bases give; needs two bases."""
    found = np.zeros(len(places))
    for left in dict.fromkeys(place.base for place in places):
        rule = fit([place for place in places if place.base != left], names)
        for at, place in enumerate(places):
            if place.base == left:
                found[at] = rule.foretold(place.figures)
    return found


def error(places: Sequence[PrunedPlace], foretold: Float64[ndarray, " places"]) -> float:
    """Mean distance from the measured retentions (those above 1 count as 1), a mean of the sets."""
    sets = np.array([place.set for place in places])
    gaps = np.abs(np.clip([place.kept for place in places], 0.0, 1.0) - foretold)
    return float(np.mean([gaps[sets == one].mean() for one in dict.fromkeys(sets.tolist())]))


def _row(place: PrunedPlace, names: Sequence[str]) -> Float64[ndarray, " figures"]:
    return np.array([1.0, *(place.figures[name] for name in names)])


def errors_elsewhere(
    places: Sequence[PrunedPlace], rates: Sequence[float] = ()
) -> dict[tuple[str, ...], float]:
    """The error of every rule on sets of other bases, at some rates; at all if none is named."""
    at = [number for number, one in enumerate(places) if not rates or one.rate in rates]
    some = [places[number] for number in at]
    if not some:
        return dict.fromkeys(RULES, math.nan)
    return {names: error(some, foretold_elsewhere(places, names)[at]) for names in RULES}


def best_rule(
    errors: Mapping[tuple[str, ...], float], without: str | None = None
) -> tuple[str, ...]:
    """The figures with the least error, of equal ones the fewest; a figure may be left out."""
    names = [one for one in errors if without not in one]
    return min(names, key=lambda one: (round(errors[one], 4), len(one)))
