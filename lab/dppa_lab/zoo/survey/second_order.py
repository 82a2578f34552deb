"""Forecasts by the second order of the loss: cost of pruning, best factor, break point.

docs/method.md derives it; `evaluation/analysis/curvature.py` computes it without a pruned model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.tuning.advice.kept_rule import logit
from dppa_lab.zoo.survey.breaks import LEAST_BASES, pruned_break, rate_of_logit
from dppa_lab.zoo.survey.correlation import correlation, correlation_gap, mean_gap, mean_ranks
from dppa_lab.zoo.survey.deltas import RATES, Record, answering, by_kind, kind_name

MEASURED = {"cost": ("cost", "foretold"), "factor": ("factor", "foretold_factor")}
"""Measured quantity -> the fields of a `Forecast` that hold it and its forecast."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """One delta pruned by magnitude at one rate, in nats per token of right answers."""

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
    at: Mapping[float, Forecast]
    """By rate."""
    breaks: float | None
    """The rate at which it breaks; see `breaks.py`."""

    def foretold_at(self, rate: float) -> float:
        """The foretold cost, on straight lines over logit p."""
        return float(np.interp(logit(rate), list(map(logit, self.at)), self._costs()))

    def foretold_break(self, cost: float) -> float:
        """The logit of the rate at which the foretold cost reaches a given one."""
        return float(np.interp(cost, self._costs(), list(map(logit, self.at))))

    def _costs(self) -> Float64[ndarray, " rates"]:
        return np.maximum.accumulate([forecast.foretold for forecast in self.at.values()])


def second_order_figures(records: Sequence[Record]) -> dict[str, Any]:
    """Costs and factors beside the foretold ones; empty unless losses of several bases were
    measured."""
    deltas = foretold_deltas(records)
    if len({delta.base for delta in deltas}) < LEAST_BASES:
        return {}
    rates = [rate for rate in RATES if all(rate in delta.at for delta in deltas)]
    return {
        "deltas": len(deltas),
        "bases": len({delta.base for delta in deltas}),
        "kinds": {name: _means(members, rates) for name, members in by_kind(deltas).items()},
        "far off": {
            quantity: {f"{100 * rate:g}": _far_off(deltas, rate, *fields) for rate in rates}
            for quantity, fields in MEASURED.items()
        },
        "rank correlations": _rank_correlations(deltas),
        "break points": _break_errors(deltas),
    }


def foretold_deltas(records: Sequence[Record]) -> list[ForetoldDelta]:
    """The deltas whose losses were measured, of models that answer."""
    deltas = []
    for record in answering(records):
        forecasts = {at["rate"]: _forecast(at) for at in record["places"] if "loss" in at}
        if forecasts:
            names = kind_name(record), record["set"]["base"], record["change"]
            deltas.append(ForetoldDelta(*names, forecasts, pruned_break(record)))
    return deltas


def _forecast(at: Record) -> Forecast:
    loss = at["loss"]
    own_loss, measured = loss["own"], {float(k): v for k, v in loss["measured"].items()}
    best = min(measured, key=lambda factor: (measured[factor], factor))
    costs = measured[1.0] - own_loss, loss["foretold"] - own_loss
    return Forecast(at["energy"], *costs, best, loss["best_factor"])


def _means(deltas: Sequence[ForetoldDelta], rates: Sequence[float]) -> dict[str, Any]:
    """Measured and foretold figures of a kind of set at every rate, means over its deltas."""
    fields = [field for pair in MEASURED.values() for field in pair]
    by_rate = {
        f"{100 * rate:g}": {
            field: fmean(getattr(delta.at[rate], field) for delta in deltas) for field in fields
        }
        for rate in rates
    }
    return {"deltas": len(deltas), **by_rate}


def _far_off(deltas: Sequence[ForetoldDelta], rate: float, measured: str, foretold: str) -> int:
    """Number of deltas whose forecast is wrong by more than a factor of 2."""
    pairs = [(getattr(d.at[rate], measured), getattr(d.at[rate], foretold)) for d in deltas]
    return sum(not 0.5 <= (real / guess if guess else math.inf) <= 2.0 for real, guess in pairs)


def _rank_correlations(deltas: Sequence[ForetoldDelta]) -> dict[str, Any]:
    """Rank correlations over all deltas, within each rate: what rises with the rate gains nothing
    by that."""
    places = [(delta, rate, at) for delta in deltas for rate, at in delta.at.items()]
    rates = np.array([rate for _, rate, _ in places])
    bases = [delta.base for delta, _, _ in places]

    def ranked(values: Sequence[float]) -> Float64[ndarray, " n"]:
        ranks = np.empty(len(rates))
        for rate in np.unique(rates):
            ranks[rates == rate] = mean_ranks(np.array(values)[rates == rate])
        return ranks

    lost = ranked([1 - at.energy for _, _, at in places])
    size = ranked([delta.change**2 * (1 - at.energy) for delta, _, at in places])
    figures = {}
    for quantity, fields in MEASURED.items():
        real, guess = (ranked([getattr(at, field) for _, _, at in places]) for field in fields)
        figures[quantity] = {
            "foretold": correlation(guess, real, bases),
            "lost energy": correlation(lost, real, bases),
            "foretold minus lost energy": correlation_gap(guess, lost, real, bases),
            "length removed": correlation(size, real, bases),
        }
    return figures


def _break_errors(deltas: Sequence[ForetoldDelta]) -> dict[str, Any]:
    """How far off the break point is foretold, each base by the others."""
    broken = [(delta, logit(delta.breaks)) for delta in deltas if delta.breaks]
    bases = [delta.base for delta, _ in broken]
    if len(set(bases)) < LEAST_BASES:
        return {}
    errors = [
        [abs(rate_of_logit(guess) - rate_of_logit(point)) for guess in _guesses(delta, broken)]
        for delta, point in broken
    ]
    by_cost, by_size, by_mean = zip(*errors, strict=True)
    return {
        "broken": len(broken),
        "median of the foretold cost": median(
            delta.foretold_at(rate_of_logit(point)) for delta, point in broken
        ),
        "error by the foretold cost": fmean(by_cost),
        "error by the size": fmean(by_size),
        "error by the mean": fmean(by_mean),
        "cost minus mean": mean_gap(by_cost, by_mean, bases),
        "size minus mean": mean_gap(by_size, by_mean, bases),
    }


def _guesses(
    delta: ForetoldDelta, broken: Sequence[tuple[ForetoldDelta, float]]
) -> tuple[float, float, float]:
    """The logit of the break point, from deltas of other bases: by the foretold cost, by the size,
    and by their mean."""
    others = [(sibling, point) for sibling, point in broken if sibling.base != delta.base]
    cost = median(sibling.foretold_at(rate_of_logit(point)) for sibling, point in others)
    sizes, points = zip(
        *((math.log(sibling.change), point) for sibling, point in others), strict=True
    )
    slope, start = np.polyfit(sizes, points, 1)
    by_size = float(slope * math.log(delta.change) + start)
    return delta.foretold_break(cost), by_size, fmean(points)
