"""What the second order foretells: the cost of pruning, the best factor, and the break point.

docs/method.md derives it; `evaluation/analysis/curvature.py` computes it without a pruned model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.evaluation.tables import listed, markdown_table
from dppa_core.tuning.advice.facts import PROBE_KEEPS
from dppa_core.tuning.advice.kept_rule import logit
from dppa_lab.analysis.ranks import mean_ranks
from dppa_lab.zoo.survey.breaks import pruned_break
from dppa_lab.zoo.survey.correlation import (
    correlation,
    correlation_gap,
    mean_gap,
)
from dppa_lab.zoo.survey.measure import LOSS_ITEMS
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


def told(records: Sequence[Record]) -> list[str]:
    """A section of the page; empty unless losses of several bases were measured."""
    found = foretold_deltas(records)
    if len({one.base for one in found}) < LEAST_BASES:
        return []
    rates = [rate for rate in AT if all(_at(one, rate) for one in found)]
    groups = {
        name: [one for one in found if one.kind == name]
        for name in dict.fromkeys(one.kind for one in found)
    }
    return [
        "## What the second order foretells",
        "If the loss of right answers were quadratic in the weights, its slope and curvature at "
        "the domain model would tell what pruning costs and which factor on the rest is best; no "
        "pruned model is asked ([derivation](method.md#why-a-factor-helps)). Here both are "
        f"measured too, for {len(found)} deltas, on at most {LOSS_ITEMS} search items each. "
        "Measured / foretold, means. Cost of magnitude pruning in nats per token of the answer:",
        _table(groups, rates, "cost", ".3f"),
        f"The factor of least loss, of {_asked(records)} (none below 1 was tried), and the "
        "foretold one, which has no such bounds:",
        _table(groups, rates, "factor", ".2f"),
        _wrong_at(found, rates),
        _together(found),
        *_breaks(found),
    ]


def _table(
    groups: Mapping[str, Sequence[ForetoldDelta]], rates: Sequence[float], what: str, form: str
) -> str:
    """Measured / foretold of every kind of set at every rate."""
    return markdown_table(
        ["models", "deltas", *(f"{100 * rate:g} % pruned" for rate in rates)],
        [
            [name, f"{len(of)}", *(_pair(of, rate, what, form) for rate in rates)]
            for name, of in groups.items()
        ],
    )


def _wrong_at(found: Sequence[ForetoldDelta], rates: Sequence[float]) -> str:
    """Where the forecast is far off."""
    said = []
    for what, names in MEASURED.items():
        for rate in rates:
            of = [place for one in found if (place := _at(one, rate))]
            off = [_is_far(*(getattr(place, name) for name in names)) for place in of]
            said.append(f"{what} at {100 * rate:g} % for {sum(off)}")
    return f"Of {len(found)} deltas it is wrong by more than a factor of 2: {listed(said)}."


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


def _pair(of: Sequence[ForetoldDelta], rate: float, what: str, form: str) -> str:
    """Measured / foretold, means over deltas."""
    places = [place for one in of if (place := _at(one, rate))]
    means = (fmean(getattr(one, name) for one in places) for name in MEASURED[what])
    return " / ".join(f"{mean:{form}}" for mean in means)


def _asked(records: Sequence[Record]) -> str:
    factors = next(
        at["loss"]["measured"] for one in records for at in one["places"] if "loss" in at
    )
    return ", ".join(factors)


def _together(found: Sequence[ForetoldDelta]) -> str:
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

    def of(values: Sequence[float], measured: Sequence[float]) -> str:
        return correlation(ranked(values), ranked(measured), bases)

    def gap(values: Sequence[float], measured: Sequence[float]) -> str:
        return correlation_gap(ranked(values), ranked(lost), ranked(measured), bases)

    foretold = [place.foretold for _, place in places]
    best = [place.foretold_factor for _, place in places]
    costs = [place.cost for _, place in places]
    factors = [place.factor for _, place in places]
    lost = [1 - place.energy for _, place in places]
    sizes = [one.change**2 * (1 - place.energy) for one, place in places]
    return (
        f"Among deltas pruned at one rate ({_listed_rates(rates)}), the measured cost has a rank "
        f"correlation of {of(foretold, costs)} with the foretold one, {of(lost, costs)} with the "
        f"lost energy 1 − E (foretold minus lost: {gap(foretold, costs)}), and {of(sizes, costs)} "
        "with (‖d‖/‖W‖)² · (1 − E), the squared length of what is removed. The best factor has "
        f"{of(best, factors)} with the foretold one and {of(lost, factors)} with 1 − E "
        f"(difference {gap(best, factors)}; in brackets 95 % intervals, bootstrap over "
        f"{len(set(bases))} bases; not corrected for their number)."
    )


def _listed_rates(rates: Float64[ndarray, " n"]) -> str:
    return listed([f"{100 * rate:g} %" for rate in np.unique(rates)])


def _breaks(found: Sequence[ForetoldDelta]) -> list[str]:
    """How far off the break point is foretold, each base by the others."""
    broken = [(one, logit(one.breaks)) for one in found if one.breaks]
    if len({one.base for one, _ in broken}) < LEAST_BASES:
        return []
    wrong = [
        [abs(_rate(guess) - _rate(point)) for guess in _guesses(one, broken)]
        for one, point in broken
    ]
    costs, sizes, means = ([100 * one for one in of] for of in zip(*wrong, strict=True))
    bases = [one.base for one, _ in broken]
    cost = median(one.foretold_at(_rate(point)) for one, point in broken)
    return [
        f"{len(broken)} of these deltas break between measured rates (below "
        f"{100 * PROBE_KEEPS:g} % kept), where the median of the foretold cost is {cost:.3f} nats "
        "per token. Three guesses, each from other bases, and their mean errors in points of rate: "
        f"the rate at which the foretold cost reaches that median, "
        f"{fmean(costs):.1f}; a line over ln ‖d‖/‖W‖, {fmean(sizes):.1f}; the mean break point, "
        f"{fmean(means):.1f}. Minus the mean: the foretold cost {mean_gap(costs, means, bases)}, "
        f"the line {mean_gap(sizes, means, bases)}."
    ]


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
