"""The survey's numbers: what is kept, what foretells it, and what methods add."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from dppa_lab.zoo.survey.breaks import break_figures
from dppa_lab.zoo.survey.deltas import (
    PRUNED,
    PrunedPlace,
    Record,
    by_kind,
    is_trained_here,
    places_of,
    trained_here,
)
from dppa_lab.zoo.survey.rule import (
    QUESTIONED,
    RULES,
    Names,
    best_rule,
    errors_elsewhere,
    fit,
    foretold_elsewhere,
)
from dppa_lab.zoo.survey.searched import added_figures, regained_figures
from dppa_lab.zoo.survey.second_order import second_order_figures

LEAST_BASES = 2
"""Fewer foretell nothing of each other."""
TRIED = 0.9
"""A rate at which little and much is kept: at others most rules are right more easily."""
EVERYTHING = "everything kept"
"""The guess that needs no rule."""
Places = Mapping[str, Sequence[PrunedPlace]]
"""Method -> its places."""
Errors = Mapping[str, Mapping[Names, float]]
"""Method -> the error of every rule."""


def survey_figures(records: Sequence[Record]) -> dict[str, Any]:
    """All figures of the survey, from the records of `survey_set`."""
    places = places_of(records, "magnitude")
    sets = {place.set for place in places}
    return {
        "deltas": len({(place.set, place.domain) for place in places}),
        "sets": len(sets),
        "bases": len({place.base for place in places}),
        "trained sets": sum("×" not in name for name in sets),
        "multiplied sets": sum("×" in name for name in sets),
        "kinds": _kinds(records),
        "regained by a search": regained_figures(records),
        "break points": break_figures(records),
        "second order": second_order_figures(records),
        **_rules(records),
    }


def _kinds(records: Sequence[Record]) -> dict[str, Any]:
    """Kind of set -> its number of sets, mean size, and mean retentions by rate: pruned by each
    method, shrunk by the kept share of energy, and that share."""
    groups = {method: by_kind(places_of(records, method)) for method in PRUNED}
    kinds = {}
    for name, places in groups["magnitude"].items():
        rates: dict[str, Any] = {}
        for rate in dict.fromkeys(place.rate for place in places):
            by_method = {m: _at(of_method[name], rate) for m, of_method in groups.items()}
            rates[f"{100 * rate:g}"] = {
                **{method: fmean(p.kept for p in at) for method, at in by_method.items()},
                "energy": fmean(place.energy for place in by_method["magnitude"]),
                "shrunk": fmean(place.shrunk for place in by_method["magnitude"]),
            }
        sizes = {(place.set, place.domain): place.change for place in places}
        kinds[name] = {
            "sets": len({place.set for place in places}),
            "deltas": len(sizes),
            "size": fmean(sizes.values()),
            "rates": rates,
        }
    return kinds


def _at(places: Sequence[PrunedPlace], rate: float) -> list[PrunedPlace]:
    return [place for place in places if place.rate == rate]


def _rules(records: Sequence[Record]) -> dict[str, Any]:
    """The rules that foretell retention, with their errors; empty if there are too few bases."""
    fitted = trained_here(records)
    places = {method: places_of(fitted, method) for method in PRUNED}
    plain = places["magnitude"]
    if len({place.base for place in plain}) < LEAST_BASES:
        return {}
    errors = {method: errors_elsewhere(of_method) for method, of_method in places.items()}
    keys = [(place.set, place.domain, place.rate) for place in plain]
    foretold = foretold_elsewhere(plain, best_rule(errors["magnitude"]))
    return {
        "rules": {m: _rule_figures(of_method, errors[m]) for m, of_method in places.items()},
        "elsewhere": _elsewhere(records, errors, places),
        "added": added_figures(fitted, dict(zip(keys, foretold, strict=True))),
    }


def _rule_figures(places: Sequence[PrunedPlace], errors: Mapping[Names, float]) -> dict[str, Any]:
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


def _elsewhere(records: Sequence[Record], errors: Errors, fitted: Places) -> dict[str, Any]:
    """Method -> the errors of its best rules, with and without questions, on models that they were
    not fitted to, and the retentions that were measured and foretold there."""
    others = [record for record in records if not is_trained_here(record)]
    figures: dict[str, Any] = {}
    for method, of_method in errors.items():
        places = places_of(others, method)
        if not places:
            continue
        best = dict.fromkeys((best_rule(of_method), best_rule(of_method, without=QUESTIONED)))
        rules = {", ".join(names): fit(fitted[method], names) for names in best if names}
        guesses = {
            **{name: [rule.foretold(p.figures) for p in places] for name, rule in rules.items()},
            EVERYTHING: [1.0] * len(places),
        }
        real = [min(place.kept, 1.0) for place in places]
        kept: dict[str, dict[str, Any]] = {}
        for kind, rate in dict.fromkeys((place.kind, place.rate) for place in places):
            at = [n for n, place in enumerate(places) if (place.kind, place.rate) == (kind, rate)]
            kept.setdefault(kind, {})[f"{100 * rate:g}"] = {
                "measured": fmean(real[n] for n in at),
                **{name: fmean(guesses[name][n] for n in at) for name in rules},
            }
        wrong = {
            name: fmean(abs(true - guess) for true, guess in zip(real, of_rule, strict=True))
            for name, of_rule in guesses.items()
        }
        figures[method] = {"errors": wrong, "kept": kept}
    return figures
