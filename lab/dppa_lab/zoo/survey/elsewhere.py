"""How the survey's rules do on a model that they were not fitted to, of another size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from dppa_core.tuning.advice.kept_rule import KeptRule
from dppa_lab.zoo.survey.rule import (
    ASKED,
    PrunedPlace,
    Record,
    best_rule,
    fit,
    is_trained_here,
    kind,
    places_of,
)

EVERYTHING = "everything kept"
"""The guess that needs no rule."""


def elsewhere_figures(
    records: Sequence[Record],
    errors: Mapping[str, Mapping[tuple[str, ...], float]],
    fitted: Mapping[str, Sequence[PrunedPlace]],
) -> dict[str, Any]:
    """Method -> the errors of its best rules, with and without questions, and the retentions that
    were measured and foretold.

    Args:
        errors: Method -> the error of every rule on the places it is fitted to.
        fitted: Method -> those places.
    """
    others = [one for one in records if not is_trained_here(one)]
    figures = {}
    for method, of in errors.items():
        places = places_of(others, method)
        if places:
            names = dict.fromkeys((best_rule(of), best_rule(of, without=ASKED)))
            rules = {", ".join(one): fit(fitted[method], one) for one in names if one}
            wrong = {name: _error(places, rule.foretold) for name, rule in rules.items()}
            wrong[EVERYTHING] = _error(places, lambda _: 1.0)
            figures[method] = {"errors": wrong, "kept": _kept(places, rules)}
    return figures


def _kept(
    places: Sequence[PrunedPlace], rules: Mapping[str, KeptRule]
) -> dict[str, dict[str, Any]]:
    """Kind of set -> rate in per cent -> mean retention, measured and by each rule."""
    kept: dict[str, dict[str, Any]] = {}
    for name, rate in dict.fromkeys((kind(one.set), one.rate) for one in places):
        at = [one for one in places if (kind(one.set), one.rate) == (name, rate)]
        kept.setdefault(name, {})[f"{100 * rate:g}"] = {
            "measured": fmean(min(one.kept, 1.0) for one in at),
            **{by: fmean(rule.foretold(one.figures) for one in at) for by, rule in rules.items()},
        }
    return kept


def _error(
    places: Sequence[PrunedPlace], foretold: Callable[[Mapping[str, float]], float]
) -> float:
    """Mean distance from the measured retentions; those above 1 count as 1."""
    return fmean(abs(min(one.kept, 1.0) - foretold(one.figures)) for one in places)
