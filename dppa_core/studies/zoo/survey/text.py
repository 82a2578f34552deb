"""The survey as a page: rules with their errors, and what methods add where much is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dppa_core.evaluation.tables import listed, markdown_table
from dppa_core.studies.zoo.study.compare import LEAST_SEEDS, student_interval
from dppa_core.studies.zoo.survey.kept_rule import KeptRule
from dppa_core.studies.zoo.survey.measure import PRUNED
from dppa_core.studies.zoo.survey.rule import (
    RULES,
    PrunedPlace,
    error,
    fit,
    foretold_elsewhere,
    places_of,
)
from dppa_core.studies.zoo.trained_set import set_title

BINS = ((0.9, 1.01), (0.5, 0.9), (0.0, 0.5))
"""Foretold retentions that are told together."""
LEAST_BASES = 2
TITLES = {"magnitude": "magnitude", "dppa": "DPPA", "dare": "DARE"}
RIVALS = ("dppa", "dare")
Record = Mapping[str, Any]


def markdown(records: Sequence[Record], command: str) -> str:
    """The page, from the records of `survey_set` for all sets."""
    places = {method: places_of(records, method) for method in PRUNED}
    known = places["magnitude"]
    sets = dict.fromkeys(place.set for place in known)
    rates = ", ".join(f"{100 * rate:g}" for rate in dict.fromkeys(one.rate for one in known))
    asked = {one["domain"]: len(one["own"]) for one in records}
    items = listed([f"{count} of {domain}" for domain, count in asked.items()])
    parts = [
        "# How far can a delta be pruned?",
        f"{len({(one.set, one.domain) for one in known})} deltas of {len(sets)} sets "
        f"({'; '.join(sets)}), each pruned alone at {rates} % of the modules' entries, by "
        "magnitude and by DARE (one draw), nothing chosen. Retention is accuracy divided by the "
        f"domain model's own, on test items ({items}). Made by `{command}`.",
    ]
    if len({place.base for place in known}) < LEAST_BASES:
        parts.append(f"A rule needs sets of {LEAST_BASES} bases whose models answer anything.")
    else:
        parts += _rules(places)
        searched = [one for one in records if any("searched" in at for at in one["places"])]
        parts += _added(searched, known) if searched else []
    return "\n\n".join(parts) + "\n"


def best_rule(places: Sequence[PrunedPlace]) -> tuple[KeptRule, float]:
    """The rule with the least error on sets of other bases, fitted to all sets; and that error."""
    errors = _errors(places)
    best = min(errors, key=lambda names: (round(errors[names], 4), len(names)))
    return fit(places, best), errors[best]


def _errors(places: Sequence[PrunedPlace]) -> dict[tuple[str, ...], float]:
    return {names: error(places, foretold_elsewhere(places, names)) for names in RULES}


def _rules(places: Mapping[str, Sequence[PrunedPlace]]) -> list[str]:
    errors = {method: _errors(of) for method, of in places.items()}
    rows = [
        [" and ".join(names), *(f"{100 * errors[method][names]:.1f}" for method in places)]
        for names in RULES
    ]
    return [
        "## Which figures foretell retention",
        "A logistic curve over figures of the profile, which asks no question. *Error*: mean "
        "distance between foretold and measured retention, in points; each set is foretold by sets "
        "of other bases. The best rule is the one with the least error, so its own error is "
        "optimistic.",
        markdown_table(["figures", *(f"error, {TITLES[method]}" for method in places)], rows),
        "The best rules, fitted to all sets, with p the rate, E the share of the sum of d² that "
        "magnitude pruning keeps, s = ‖d‖/‖W‖, r the same of what magnitude pruning removes, and n "
        "the number of the modules' entries (*model*):",
        "\n".join(f"- {_formula(TITLES[method], of)}" for method, of in places.items()),
    ]


def _formula(title: str, places: Sequence[PrunedPlace]) -> str:
    rule, _ = best_rule(places)
    names = {"rate": "logit p", "energy kept": "logit E", "size": "ln s", "size removed": "ln r"}
    names["model"] = "ln n"
    terms = " ".join(
        f"{weight:+.2f} · {names[name]}"
        for name, weight in zip(rule.figures, rule.weights[1:], strict=True)
    )
    return f"{title}: logit(retention) = {rule.weights[0]:.2f} {terms}"


def _added(records: Sequence[Record], places: Sequence[PrunedPlace]) -> list[str]:
    foretold = foretold_elsewhere(places, best_rule(places)[0].figures)
    keys = [(one.set, one.domain, one.rate) for one in places]
    rates = {at["rate"] for one in records for at in one["places"] if "searched" in at}
    searched = listed([f"{100 * rate:g} %" for rate in sorted(rates)])
    return [
        "## What DPPA and DARE add",
        f"At {searched} the numbers of every method are searched on {records[0]['search_items']} "
        f"search items, with one budget, for {len(records)} of the deltas. Differences are means "
        "over the deltas of a set, then over the sets, with Student's interval over sets (95 %), "
        "not corrected for their number: they support no claim. In brackets the deltas and sets.",
        _methods(records, dict(zip(keys, foretold, strict=True))),
    ]


def _methods(records: Sequence[Record], foretold: Mapping[tuple[str, str, float], float]) -> str:
    rows = []
    for low, high in BINS:
        gaps: dict[str, dict[str, list[float]]] = {name: {} for name in RIVALS}
        for one in records:
            own, name = one["own"].count("1"), set_title(one["set"])
            for at in one["places"]:
                key = name, one["domain"], at["rate"]
                if "searched" not in at or not low <= foretold.get(key, -1.0) < high:
                    continue
                known = {m: of["hits"].count("1") / own for m, of in at["searched"].items()}
                for rival in RIVALS:
                    gaps[rival].setdefault(name, []).append(known[rival] - known["magnitude"])
        many = sum(map(len, gaps["dppa"].values()))
        if many:
            told = f"{100 * low:g} to {100 * min(high, 1):g} % ({many}, {len(gaps['dppa'])})"
            rows.append([told, *(_told(gaps[rival]) for rival in RIVALS)])
    heads = [f"{TITLES[name]} minus magnitude, points" for name in RIVALS]
    return markdown_table(["foretold retention by magnitude", *heads], rows)


def _told(by_set: Mapping[str, Sequence[float]]) -> str:
    means = np.array([np.mean(of) for of in by_set.values()])
    if len(means) < LEAST_SEEDS:
        return f"{100 * means.mean():+.1f}"
    found = student_interval(means)[0]
    return f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
