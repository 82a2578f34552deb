"""Where pruning by magnitude breaks a model, beside where shrinking its delta does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from dppa_core.tuning.advice.facts import PROBE_KEEPS
from dppa_core.tuning.advice.kept_rule import logit
from dppa_lab.zoo.survey.correlation import correlation, correlation_gap, interval_values
from dppa_lab.zoo.survey.rule import (
    LEAST_OWN,
    Record,
    is_trained_here,
    kind,
    shrunk,
    title,
)

LEAST_BASES = 3
"""Fewer bases give a correlation no interval."""


@dataclass(frozen=True, slots=True)
class BreakPoint:
    """The rates from which one delta keeps less than nine tenths of its model's answers."""

    kind: str
    """Size, regime and scale of the set."""
    base: str
    """Hash of the base's weights."""
    trained_here: bool
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
        if high < PROBE_KEEPS:
            return None
        if low < PROBE_KEEPS:
            way = (high - PROBE_KEEPS) / (high - low)
            place = (1 - way) * logit(before) + way * logit(after)
            return 1 / (1 + math.exp(-place))
    return None


def break_figures(records: Sequence[Record]) -> dict[str, Any]:
    """Mean break points by kind of set, and what they correlate with; empty without break points
    of several bases."""
    answering = [one for one in records if one["own"].count("1") >= LEAST_OWN * len(one["own"])]
    found = break_points(answering)
    here = [one for one in found if one.trained_here]
    if len({one.base for one in here}) < LEAST_BASES:
        return {}
    groups: dict[str, list[BreakPoint]] = {}
    for one in found:
        groups.setdefault(one.kind, []).append(one)
    return {
        "deltas": len(answering),
        "broken": len(found),
        "kinds": {
            name: {
                "deltas": len(of),
                "size": fmean(one.change for one in of),
                "pruned": fmean(one.pruned for one in of),
                "shrunk": fmean(one.shrunk for one in of),
            }
            for name, of in groups.items()
        },
        "correlation with the shrunk one": _correlation(found, _shrunk),
        "correlation with the size": _correlation(found, _size),
        "correlation with the size, trained here": _correlation(here, _size),
        "shrunk minus size": _gap(found),
    }


def break_points(records: Sequence[Record]) -> list[BreakPoint]:
    """Of each delta that breaks between measured rates, pruned and shrunk."""
    found = []
    for one in records:
        pruned, whole = _crossings(one)
        if pruned and whole:
            names = kind(title(one["set"])), one["set"]["base"], is_trained_here(one)
            found.append(BreakPoint(*names, one["change"], pruned, whole))
    return found


def pruned_break(record: Record) -> float | None:
    """The rate at which a delta breaks, pruned by magnitude."""
    return _crossings(record)[0]


def _crossings(record: Record) -> tuple[float | None, float | None]:
    """Pruned by magnitude, and shrunk."""
    own, places = record["own"].count("1"), record["places"]
    rates = [at["rate"] for at in places]
    kept = [at["pruned"]["magnitude"].count("1") / own for at in places]
    return crossing(rates, kept), crossing(rates, [shrunk(record, at["energy"]) for at in places])


def _shrunk(one: BreakPoint) -> float:
    return logit(one.shrunk)


def _size(one: BreakPoint) -> float:
    return math.log(one.change)


def _correlation(
    found: Sequence[BreakPoint], figure: Callable[[BreakPoint], float]
) -> dict[str, float] | None:
    """Between the logit of the break point and a figure, with its interval."""
    figures, points = ([of(one) for one in found] for of in (figure, _point))
    return interval_values(correlation(figures, points, [one.base for one in found]))


def _gap(found: Sequence[BreakPoint]) -> dict[str, float] | None:
    """How much closer the break point goes with the shrunk one than with the size."""
    by_energy, by_size, points = ([of(one) for one in found] for of in (_shrunk, _size, _point))
    return interval_values(correlation_gap(by_energy, by_size, points, [one.base for one in found]))


def _point(one: BreakPoint) -> float:
    return logit(one.pruned)
