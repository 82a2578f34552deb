"""Where pruning by magnitude breaks a model, beside where shrinking its delta does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from dppa_core.tuning.advice.facts import PROBE_KEEPS
from dppa_core.tuning.advice.kept_rule import logit
from dppa_lab.zoo.survey.correlation import Estimate, correlation, correlation_gap
from dppa_lab.zoo.survey.deltas import (
    Record,
    answering,
    by_kind,
    is_trained_here,
    kind_name,
    retention,
    shrunk,
)

LEAST_BASES = 3
"""Fewer bases give a correlation no interval, and support no rule."""


@dataclass(frozen=True, slots=True)
class BreakPoint:
    """The rates from which one delta keeps less than nine tenths of its model's answers."""

    kind: str
    """See `kind_name`."""
    base: str
    """Hash of the base's weights."""
    trained_here: bool
    change: float
    """‖d‖/‖W‖ over the modules."""
    pruned: float
    """Pruned by magnitude."""
    shrunk: float
    """Nothing dropped, but shrunk by what magnitude pruning keeps of the sum of d²."""


def rate_of_logit(logit_rate: float) -> float:
    """The inverse of `logit`."""
    return 1 / (1 + math.exp(-logit_rate))


def crossing(rates: Sequence[float], kept: Sequence[float]) -> float | None:
    """The rate at which retention falls below `PROBE_KEEPS`, on straight lines over logit p between
    the measured ones; None if that is not between two of them."""
    pairs = list(zip(rates, kept, strict=True))
    for (before, high), (after, low) in zip(pairs, pairs[1:], strict=False):
        if high < PROBE_KEEPS:
            return None
        if low < PROBE_KEEPS:
            way = (high - PROBE_KEEPS) / (high - low)
            return rate_of_logit((1 - way) * logit(before) + way * logit(after))
    return None


def break_figures(records: Sequence[Record]) -> dict[str, Any]:
    """Mean break points by kind of set, and what they correlate with; empty without break points
    of several bases."""
    deltas = answering(records)
    points = break_points(deltas)
    trained = [point for point in points if point.trained_here]
    if len({point.base for point in trained}) < LEAST_BASES:
        return {}
    return {
        "deltas": len(deltas),
        "broken": len(points),
        "kinds": {
            name: {
                "deltas": len(members),
                "size": fmean(point.change for point in members),
                "pruned": fmean(point.pruned for point in members),
                "shrunk": fmean(point.shrunk for point in members),
            }
            for name, members in by_kind(points).items()
        },
        "correlation with the shrunk one": _correlation(points, _shrunk),
        "correlation with the size": _correlation(points, _size),
        "correlation with the size, trained here": _correlation(trained, _size),
        "shrunk minus size": correlation_gap(
            list(map(_shrunk, points)),
            list(map(_size, points)),
            list(map(_pruned, points)),
            [point.base for point in points],
        ),
    }


def break_points(records: Sequence[Record]) -> list[BreakPoint]:
    """The break points of the deltas that break between measured rates, pruned and shrunk."""
    points = []
    for record in records:
        pruned, whole = pruned_break(record), _shrunk_break(record)
        if pruned and whole:
            names = kind_name(record), record["set"]["base"], is_trained_here(record)
            points.append(BreakPoint(*names, record["change"], pruned, whole))
    return points


def pruned_break(record: Record) -> float | None:
    """The rate at which a delta breaks, pruned by magnitude."""
    return _crossing(record, lambda at: retention(record, at["pruned"]["magnitude"]))


def _shrunk_break(record: Record) -> float | None:
    return _crossing(record, lambda at: shrunk(record, at["energy"]))


def _crossing(record: Record, kept: Callable[[Record], float]) -> float | None:
    places = record["places"]
    return crossing([at["rate"] for at in places], [kept(at) for at in places])


def _shrunk(point: BreakPoint) -> float:
    return logit(point.shrunk)


def _size(point: BreakPoint) -> float:
    return math.log(point.change)


def _pruned(point: BreakPoint) -> float:
    return logit(point.pruned)


def _correlation(points: Sequence[BreakPoint], figure: Callable[[BreakPoint], float]) -> Estimate:
    """Between a figure and the logit of the break point."""
    bases = [point.base for point in points]
    return correlation(list(map(figure, points)), list(map(_pruned, points)), bases)
