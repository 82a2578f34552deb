"""What the second order foretells: the cost of pruning, the best factor, and the break point.

docs/method.md derives it; `evaluation/analysis/curvature.py` computes it without a pruned model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.tuning.advice.kept_rule import logit
from dppa_lab.analysis.ranks import mean_ranks
from dppa_lab.zoo.survey.breaks import pruned_break
from dppa_lab.zoo.survey.correlation import (
    correlation,
    correlation_gap,
    interval_values,
    mean_gap,
)
from dppa_lab.zoo.survey.rule import LEAST_OWN, Record, kind, title

AT = (0.5, 0.8, 0.9, 0.95, 0.98)
MEASURED = {"cost": ("cost", "foretold"), "factor": ("factor", "foretold_factor")}
"""What is measured, and the fields of a `Forecast` that hold it and its forecast."""
LEAST_BASES = 3
"""Fewer bases support no correlation, and no rule for the break point."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """One delta pruned by magnitude at one rate, in nats per token of right answers."""

    rate: float
    energy: float
    """Share of the sum of d² that is kept."""
    cost: float
    """Measured loss minus that of the domain model."""
    foretold: float
    factor: float
    """Of least measured loss, among those asked."""
    foretold_factor: float


@dataclass(frozen=True, slots=True)
class ForetoldDelta:
    """One delta at all rates."""

    kind: str
    """Size, regime and scale of the set."""
    base: str
    """Hash of the base's weights."""
    change: float
    """‖d‖/‖W‖ over the modules."""
    at: tuple[Forecast, ...]
    breaks: float | None
    """The rate at which it breaks; see `breaks.py`."""

    def foretold_at(self, rate: float) -> float:
        """The foretold cost, on straight lines over logit p."""
        return float(np.interp(logit(rate), self._rates(), self._costs()))

    def foretold_break(self, cost: float) -> float:
        """The logit of the rate at which the foretold cost reaches a given one."""
        return float(np.interp(cost, self._costs(), self._rates()))

    def _rates(self) -> list[float]:
        return [logit(one.rate) for one in self.at]

    def _costs(self) -> list[float]:
        return [float(cost) for cost in np.maximum.accumulate([one.foretold for one in self.at])]


def second_order_figures(records: Sequence[Record]) -> dict[str, Any]:
    """Costs and factors beside the foretold ones; empty unless losses of several bases were
    measured."""
    found = foretold_deltas(records)
    if len({one.base for one in found}) < LEAST_BASES:
        return {}
    rates = [rate for rate in AT if all(_at(one, rate) for one in found)]
    groups: dict[str, list[ForetoldDelta]] = {}
    for one in found:
        groups.setdefault(one.kind, []).append(one)
    return {
        "deltas": len(found),
        "bases": len({one.base for one in found}),
        "kinds": {name: _means(of, rates) for name, of in groups.items()},
        "far off": {what: _far_off(found, rates, names) for what, names in MEASURED.items()},
        "rank correlations": _together(found),
        "break points": _breaks(found),
    }


def _means(of: Sequence[ForetoldDelta], rates: Sequence[float]) -> dict[str, Any]:
    """Measured and foretold of a kind of set at every rate, means over deltas."""
    means: dict[str, Any] = {"deltas": len(of)}
    for rate in rates:
        places = [place for one in of if (place := _at(one, rate))]
        names = [name for pair in MEASURED.values() for name in pair]
        means[f"{100 * rate:g}"] = {
            name: fmean(getattr(place, name) for place in places) for name in names
        }
    return means


def _far_off(
    found: Sequence[ForetoldDelta], rates: Sequence[float], names: Sequence[str]
) -> dict[str, int]:
    """Rate in per cent -> the deltas whose forecast is wrong by more than a factor of 2."""
    return {
        f"{100 * rate:g}": sum(
            _is_far(*(getattr(place, name) for name in names))
            for one in found
            if (place := _at(one, rate))
        )
        for rate in rates
    }


def _is_far(measured: float, foretold: float) -> bool:
    return not 0.5 <= (measured / foretold if foretold else math.inf) <= 2.0


def foretold_deltas(records: Sequence[Record]) -> list[ForetoldDelta]:
    """The deltas whose losses were measured, of models that answer."""
    found = []
    for one in records:
        places = [_forecast(at) for at in one["places"] if "loss" in at]
        if places and one["own"].count("1") >= LEAST_OWN * len(one["own"]):
            name, base = kind(title(one["set"])), one["set"]["base"]
            found.append(ForetoldDelta(name, base, one["change"], tuple(places), pruned_break(one)))
    return found


def _forecast(at: Record) -> Forecast:
    loss = at["loss"]
    own, measured = loss["own"], {float(k): v for k, v in loss["measured"].items()}
    best = min(measured, key=lambda factor: (measured[factor], factor))
    costs = measured[1.0] - own, loss["foretold"] - own
    return Forecast(at["rate"], at["energy"], *costs, best, loss["best_factor"])


def _at(one: ForetoldDelta, rate: float) -> Forecast | None:
    return next((place for place in one.at if place.rate == rate), None)


def _together(found: Sequence[ForetoldDelta]) -> dict[str, Any]:
    """Rank correlations over all deltas, within each rate: what rises with the rate gains nothing
    by that."""
    places = [(one, place) for one in found for place in one.at]
    rates = np.array([place.rate for _, place in places])
    bases = [one.base for one, _ in places]

    def ranked(values: Sequence[float]) -> Float64[ndarray, " n"]:
        ranks = np.empty(len(rates))
        for rate in np.unique(rates):
            at = rates == rate
            ranks[at] = mean_ranks(np.array(values)[at].tolist())
        return ranks

    lost = ranked([1 - place.energy for _, place in places])
    size = ranked([one.change**2 * (1 - place.energy) for one, place in places])
    figures: dict[str, Any] = {}
    for what, (measured, foretold) in MEASURED.items():
        known, guess = (
            ranked([getattr(place, name) for _, place in places]) for name in (measured, foretold)
        )
        figures[what] = {
            "foretold": interval_values(correlation(guess, known, bases)),
            "lost energy": interval_values(correlation(lost, known, bases)),
            "foretold minus lost energy": interval_values(
                correlation_gap(guess, lost, known, bases)
            ),
            "length removed": interval_values(correlation(size, known, bases)),
        }
    return figures


def _breaks(found: Sequence[ForetoldDelta]) -> dict[str, Any]:
    """How far off the break point is foretold, each base by the others."""
    broken = [(one, logit(one.breaks)) for one in found if one.breaks]
    if len({one.base for one, _ in broken}) < LEAST_BASES:
        return {}
    wrong = [
        [abs(_rate(guess) - _rate(point)) for guess in _guesses(one, broken)]
        for one, point in broken
    ]
    costs, sizes, means = zip(*wrong, strict=True)
    bases = [one.base for one, _ in broken]
    return {
        "broken": len(broken),
        "median of the foretold cost": median(
            one.foretold_at(_rate(point)) for one, point in broken
        ),
        "error by the foretold cost": fmean(costs),
        "error by the size": fmean(sizes),
        "error by the mean": fmean(means),
        "cost minus mean": interval_values(mean_gap(costs, means, bases)),
        "size minus mean": interval_values(mean_gap(sizes, means, bases)),
    }


def _guesses(
    one: ForetoldDelta, broken: Sequence[tuple[ForetoldDelta, float]]
) -> tuple[float, float, float]:
    """The logit of the break point, from deltas of other bases: by the foretold cost, by the size,
    and by their mean."""
    known = [(other, point) for other, point in broken if other.base != one.base]
    cost = median(other.foretold_at(_rate(point)) for other, point in known)
    sizes, points = zip(*((math.log(other.change), point) for other, point in known), strict=True)
    slope, start = np.polyfit(sizes, points, 1)
    by_size = float(slope * math.log(one.change) + start)
    return one.foretold_break(cost), by_size, fmean(points)


def _rate(point: float) -> float:
    return 1 / (1 + math.exp(-point))
