"""How the survey's rules do on a model that they were not fitted to, of another size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from dppa_core.evaluation.tables import markdown_table
from dppa_core.tuning.advice.kept_rule import KeptRule
from dppa_lab.zoo.survey.rule import (
    ASKED,
    SYMBOLS,
    PrunedPlace,
    Record,
    best_rule,
    fit,
    is_trained_here,
    kind,
    places_of,
)
from dppa_lab.zoo.survey.searched import TITLES


def told(
    records: Sequence[Record],
    errors: Mapping[str, Mapping[tuple[str, ...], float]],
    fitted: Mapping[str, Sequence[PrunedPlace]],
) -> list[str]:
    """A section of the page: measured and foretold retention; empty without such a model.

    Args:
        errors: Method -> the error of every rule.
        fitted: Method -> the places that the rules are fitted to.
    """
    others = [one for one in records if not is_trained_here(one)]
    parts, wrong = [], []
    for method, of in errors.items():
        places = places_of(others, method)
        if not places:
            continue
        names = dict.fromkeys((best_rule(of), best_rule(of, without=ASKED)))
        rules = [fit(fitted[method], one) for one in names if one]
        parts.append(_table(TITLES[method], places, rules))
        told_of = [f"{_by(rule)} {_points(places, rule.foretold)}" for rule in rules]
        all_kept = f"100 % everywhere {_points(places, lambda _: 1.0)}"
        wrong.append(f"{TITLES[method]} {'; '.join([*told_of, all_kept])}")
    if not parts:
        return []
    return [
        "## A model that the rules were not fitted to",
        "Mean retention of the deltas in per cent, as measured and as the rules foretell it.",
        *parts,
        f"Wrong on average over deltas and rates, in points: {'. '.join(wrong)}.",
    ]


def _table(method: str, places: Sequence[PrunedPlace], rules: Sequence[KeptRule]) -> str:
    rows = []
    for name, rate in dict.fromkeys((kind(one.set), one.rate) for one in places):
        at = [one for one in places if (kind(one.set), one.rate) == (name, rate)]
        shares = [fmean(min(one.kept, 1.0) for one in at)]
        shares += [fmean(rule.foretold(one.figures) for one in at) for rule in rules]
        rows.append([name, f"{100 * rate:g}", *(f"{100 * share:.0f}" for share in shares)])
    return markdown_table(["models", "pruned (%)", f"{method}, measured", *(map(_by, rules))], rows)


def _by(rule: KeptRule) -> str:
    return f"by {' and '.join(SYMBOLS[name] for name in rule.names)}"


def _points(places: Sequence[PrunedPlace], foretold: Callable[[Mapping[str, float]], float]) -> str:
    """Mean distance from the measured retentions (those above 1 count as 1), in points."""
    return f"{100 * fmean(abs(min(one.kept, 1.0) - foretold(one.figures)) for one in places):.0f}"
