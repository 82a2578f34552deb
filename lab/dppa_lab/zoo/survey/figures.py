"""The survey's numbers: what is kept, what foretells it, and what methods add."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from dppa_lab.zoo.survey.breaks import break_figures
from dppa_lab.zoo.survey.elsewhere import elsewhere_figures
from dppa_lab.zoo.survey.measure import PRUNED
from dppa_lab.zoo.survey.rule import (
    RULES,
    PrunedPlace,
    Record,
    best_rule,
    errors_elsewhere,
    fit,
    foretold_elsewhere,
    kind,
    places_of,
    trained_here,
)
from dppa_lab.zoo.survey.searched import added_figures, regained_figures
from dppa_lab.zoo.survey.second_order import second_order_figures

LEAST_BASES = 2
"""Fewer foretell nothing of each other."""
TRIED = 0.9
"""A rate at which little and much is kept: at others most rules are right more easily."""


def survey_figures(records: Sequence[Record]) -> dict[str, Any]:
    """All of them, from the records of `survey_set`."""
    known = places_of(records, "magnitude")
    sets = {one.set for one in known}
    return {
        "deltas": len({(one.set, one.domain) for one in known}),
        "sets": len(sets),
        "bases": len({one.base for one in known}),
        "trained sets": sum("×" not in one for one in sets),
        "multiplied sets": sum("×" in one for one in sets),
        "kinds": kinds(records),
        "regained by a search": regained_figures(records),
        "break points": break_figures(records),
        "second order": second_order_figures(records),
        **_rules(records),
    }


def kinds(records: Sequence[Record]) -> dict[str, Any]:
    """Kind of set -> its number of sets, mean size, and mean retentions by rate: pruned by each
    method, shrunk by the kept share of energy, and that share."""
    places = {method: _groups(places_of(records, method)) for method in PRUNED}
    return {name: _kind(name, places) for name in places["magnitude"]}


def _kind(name: str, places: Mapping[str, Mapping[str, list[PrunedPlace]]]) -> dict[str, Any]:
    ours = places["magnitude"][name]
    rates: dict[str, Any] = {}
    for rate in dict.fromkeys(one.rate for one in ours):
        at = [one for one in ours if one.rate == rate]
        kept = {
            method: fmean(one.kept for one in groups[name] if one.rate == rate)
            for method, groups in places.items()
        }
        shares = {what: fmean(getattr(one, what) for one in at) for what in ("energy", "shrunk")}
        rates[f"{100 * rate:g}"] = {**kept, **shares}
    sizes = {(one.set, one.domain): one.change for one in ours}
    return {
        "sets": len({one.set for one in ours}),
        "deltas": len(sizes),
        "size": fmean(sizes.values()),
        "rates": rates,
    }


def _groups(places: Sequence[PrunedPlace]) -> dict[str, list[PrunedPlace]]:
    """The places of all seeds of a size, a regime and a scale."""
    groups: dict[str, list[PrunedPlace]] = {}
    for one in places:
        groups.setdefault(kind(one.set), []).append(one)
    return groups


def _rules(records: Sequence[Record]) -> dict[str, Any]:
    """The rules that foretell retention, with their errors; empty if there are too few bases."""
    fitted = trained_here(records)
    places = {method: places_of(fitted, method) for method in PRUNED}
    known = places["magnitude"]
    if len({one.base for one in known}) < LEAST_BASES:
        return {}
    errors = {method: errors_elsewhere(of) for method, of in places.items()}
    keys = [(one.set, one.domain, one.rate) for one in known]
    foretold = foretold_elsewhere(known, best_rule(errors["magnitude"]))
    return {
        "rules": {method: _rules_of(of, errors[method]) for method, of in places.items()},
        "elsewhere": elsewhere_figures(records, errors, places),
        "added": added_figures(fitted, dict(zip(keys, foretold, strict=True))),
    }


def _rules_of(
    places: Sequence[PrunedPlace], errors: Mapping[tuple[str, ...], float]
) -> dict[str, Any]:
    """The figures of each rule -> its weights, its error on other bases, and that at `TRIED`."""
    tried = errors_elsewhere(places, (TRIED,))
    return {
        ", ".join(names) or "none": {
            "weights": list(fit(places, names).weights),
            "error": _number(errors[names]),
            f"error at {100 * TRIED:g}": _number(tried[names]),
        }
        for names in RULES
    }


def _number(error: float) -> float | None:
    return None if math.isnan(error) else error
