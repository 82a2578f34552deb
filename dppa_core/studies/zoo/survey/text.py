"""The survey as a page: rules with their errors, and what methods add where much is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dppa_core.evaluation.tables import listed, markdown_table
from dppa_core.studies.zoo.study.compare import LEAST_SEEDS, student_interval
from dppa_core.studies.zoo.survey.measure import SEARCHED_AT
from dppa_core.studies.zoo.survey.rule import (
    RULES,
    KeptRule,
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
RIVALS = {"dppa": "DPPA", "dare": "DARE"}
Record = Mapping[str, Any]


def markdown(records: Sequence[Record], command: str) -> str:
    """The page, from the records of `survey_set` for all sets."""
    places = places_of(records)
    sets = dict.fromkeys(place.set for place in places)
    rates = ", ".join(f"{100 * rate:g}" for rate in dict.fromkeys(one.rate for one in places))
    asked = {one["domain"]: len(one["own"]) for one in records}
    items = listed([f"{count} of {domain}" for domain, count in asked.items()])
    parts = [
        "# How far can a delta be pruned?",
        f"{len({(one.set, one.domain) for one in places})} deltas of {len(sets)} sets "
        f"({'; '.join(sets)}), each pruned alone by magnitude at {rates} % of the modules' "
        "entries, nothing chosen. Retention is accuracy divided by the domain model's own, on test "
        f"items ({items}). Made by `{command}`.",
    ]
    if len({place.base for place in places}) < LEAST_BASES:
        parts.append(f"A rule needs sets of {LEAST_BASES} bases whose models answer anything.")
    else:
        parts += _rules(records, places)
    return "\n\n".join(parts) + "\n"


def _rules(records: Sequence[Record], places: Sequence[PrunedPlace]) -> list[str]:
    by_rule = {names: foretold_elsewhere(places, names) for names in RULES}
    errors = {names: error(places, of) for names, of in by_rule.items()}
    best = min(errors, key=lambda names: (round(errors[names], 4), len(names)))
    searched = listed([f"{100 * rate:g} %" for rate in SEARCHED_AT])
    keys = [(one.set, one.domain, one.rate) for one in places]
    return [
        "## Which figures foretell retention",
        "A logistic curve over figures of the profile, which asks no question. *Error*: mean "
        "distance between foretold and measured retention; each set is foretold by sets of other "
        "bases. The best rule is the one with the least error, so its own error is optimistic.",
        markdown_table(
            ["figures", "error, points"],
            [[" and ".join(names), f"{100 * errors[names]:.1f}"] for names in RULES],
        ),
        _formula(fit(places, best)),
        "## What DPPA and DARE add",
        f"At {searched} the numbers of every method are searched on "
        f"{records[0]['search_items']} search items, with one budget. Differences are means over "
        "the deltas of a set, then over the sets, with Student's interval over sets (95 %), not "
        "corrected for their number: they support no claim. In brackets the deltas and sets.",
        _methods(records, dict(zip(keys, by_rule[best], strict=True))),
    ]


def _formula(rule: KeptRule) -> str:
    names = {"rate": "logit p", "energy kept": "logit E", "size": "ln s", "size removed": "ln r"}
    terms = " ".join(
        f"{weight:+.2f} · {names[name]}"
        for name, weight in zip(rule.figures, rule.weights[1:], strict=True)
    )
    return (
        f"The best rule, fitted to all sets: logit(retention) = {rule.weights[0]:.2f} {terms}, "
        "with p the rate, E the share of the sum of d² that is kept, s = ‖d‖/‖W‖ and r the same of "
        "what is removed."
    )


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
    heads = [f"{title} minus magnitude, points" for title in RIVALS.values()]
    return markdown_table(["foretold retention", *heads], rows)


def _told(by_set: Mapping[str, Sequence[float]]) -> str:
    means = np.array([np.mean(of) for of in by_set.values()])
    if len(means) < LEAST_SEEDS:
        return f"{100 * means.mean():+.1f}"
    found = student_interval(means)[0]
    return f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
