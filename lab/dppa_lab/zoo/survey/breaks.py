"""Where pruning by magnitude breaks a model, beside where shrinking its delta does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from dppa_core.evaluation.tables import listed, markdown_table
from dppa_core.tuning.advice.facts import PROBE_KEEPS
from dppa_core.tuning.advice.kept_rule import logit
from dppa_lab.zoo.survey.correlation import correlation, correlation_gap
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
APART = 0.05
"""A difference of mean break points that is told."""


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


def told(records: Sequence[Record]) -> list[str]:
    """A section of the page; empty without break points of several bases."""
    answering = [one for one in records if one["own"].count("1") >= LEAST_OWN * len(one["own"])]
    found = break_points(answering)
    if len({one.base for one in found if one.trained_here}) < LEAST_BASES:
        return []
    groups = {
        name: [one for one in found if one.kind == name]
        for name in dict.fromkeys(one.kind for one in found)
    }
    rows = [
        [name, f"{len(of)}", f"{fmean(one.change for one in of):.3f}", *map(_percent, _means(of))]
        for name, of in groups.items()
    ]
    earlier = [name for name, of in groups.items() if _means(of)[1] - _means(of)[0] > APART]
    here = [one for one in found if one.trained_here]
    return [
        "## Where pruning breaks a model",
        f"A model *breaks* at the rate from which it keeps less than {100 * PROBE_KEEPS:g} %. Of "
        f"{len(answering)} deltas {len(found)} break between two measured rates, both pruned by "
        f"magnitude and shrunk by E; {_left_out(answering)} Means in per cent:",
        markdown_table(
            ["models", "deltas", "‖d‖/‖W‖", "breaks, pruned", "breaks, shrunk by E"], rows
        ),
        f"On the scale log(p / (1 − p)) both rates correlate {_correlation(found, _shrunk)} (in "
        "brackets 95 % intervals, bootstrap over bases). With ln ‖d‖/‖W‖ that of the pruned one "
        f"correlates {_correlation(here, _size)} over the models trained here, and "
        f"{_correlation(found, _size)} over all, where the correlation of the shrunk rate "
        f"minus that of the size is {_gap(found)}. This describes, and foretells nothing: both are "
        "measured with the same questions. Pruning breaks a model more than "
        f"{100 * APART:g} points of rate earlier than shrinking does with "
        f"{'; '.join(earlier) or 'none'}. A factor of 1/E gives the part along d its full "
        "length; the whole pruned delta is then 1/√E times as long as d.",
    ]


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


def _left_out(records: Sequence[Record]) -> str:
    """How many break before the lowest rate, and how many others have no such point."""
    others = [one for one in records if None in _crossings(one)]
    if not others:
        return "none is left out."
    early = sum(_first(one) < PROBE_KEEPS for one in others)
    names = dict.fromkeys(kind(title(one["set"])).replace(", ", " ") for one in others)
    kinds = listed(list(names))
    broken = "are broken at the lowest rate already, by pruning or shrinking"
    if early == len(others):
        return f"the other {early} ({kinds}) {broken}."
    return f"of the others ({kinds}) {early} {broken}, and {len(others) - early} never."


def _first(record: Record) -> float:
    """What is kept at the lowest rate, pruned or shrunk, whichever is less."""
    own, at = record["own"].count("1"), record["places"][0]
    return min(float(at["pruned"]["magnitude"].count("1") / own), shrunk(record, at["energy"]))


def _means(found: Sequence[BreakPoint]) -> tuple[float, float]:
    return fmean(one.pruned for one in found), fmean(one.shrunk for one in found)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _shrunk(one: BreakPoint) -> float:
    return logit(one.shrunk)


def _size(one: BreakPoint) -> float:
    return math.log(one.change)


def _correlation(found: Sequence[BreakPoint], figure: Callable[[BreakPoint], float]) -> str:
    """Between the logit of the break point and a figure, with its interval."""
    figures, points = ([of(one) for one in found] for of in (figure, _point))
    return correlation(figures, points, [one.base for one in found])


def _gap(found: Sequence[BreakPoint]) -> str:
    """How much closer the break point goes with the shrunk one than with the size."""
    by_energy, by_size, points = ([of(one) for one in found] for of in (_shrunk, _size, _point))
    return correlation_gap(by_energy, by_size, points, [one.base for one in found])


def _point(one: BreakPoint) -> float:
    return logit(one.pruned)
