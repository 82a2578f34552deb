"""The survey as a page: what is kept, rules with their errors, and what methods add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
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
A_POINT = 0.01
TITLES = {"magnitude": "magnitude", "dppa": "DPPA", "dare": "DARE"}
RIVALS = ("dppa", "dare")
SYMBOLS = {"rate": "logit p", "energy kept": "logit E", "size": "ln s", "size removed": "ln r"}
"""Figures of the rules, as the page writes them."""
Record = Mapping[str, Any]


def markdown(records: Sequence[Record], command: str) -> str:
    """The page, from the records of `survey_set` for all sets."""
    places = {method: places_of(records, method) for method in PRUNED}
    known = places["magnitude"]
    asked = {one["domain"]: len(one["own"]) for one in records}
    items = listed([f"{count} of {domain}" for domain, count in asked.items()])
    deltas, bases = {(one.set, one.domain) for one in known}, {one.base for one in known}
    parts = [
        "# How far can a delta be pruned?",
        "A *delta* is a domain model minus its base. Here each one is pruned, put back on its base "
        "alone, and asked the test items of its domain. *Retention* is the accuracy divided by the "
        "domain model's own. Rates count the entries of the *modules*, the matrices inside the "
        "layers; embeddings and norms keep all of their change ([words](start/words.md)). The "
        "sets of models differ in size, seed and regime: how the domain models were trained "
        "([regimes](embedded-models.md#with-other-seeds-and-trained-alone)): `settled` models met "
        "each other in training, `plain` ones were trained alone.",
        f"{len(deltas)} deltas of {len({one.set for one in known})} sets on {len(bases)} bases. "
        f"Test items: {items}. Nothing was chosen. DARE drops at random, one draw, and multiplies "
        f"what is kept by 1/(1 − p). Made by `{command}`.",
        *_kept(records),
    ]
    if len(bases) < LEAST_BASES:
        parts.append(f"A rule needs sets of {LEAST_BASES} bases whose models answer anything.")
        return "\n\n".join(parts) + "\n"
    errors = {method: _errors(of) for method, of in places.items()}
    best = {
        method: min(of, key=lambda n: (round(of[n], 4), len(n))) for method, of in errors.items()
    }
    rules = {method: fit(of, best[method]) for method, of in places.items()}
    parts += _rules(errors, rules)
    searched = [one for one in records if any("searched" in at for at in one["places"])]
    if searched:
        keys = [(one.set, one.domain, one.rate) for one in known]
        foretold = foretold_elsewhere(known, best["magnitude"])
        parts += _added(searched, dict(zip(keys, foretold, strict=True)))
    return "\n\n".join(parts) + "\n"


def _kept(records: Sequence[Record]) -> list[str]:
    """Mean retention by regime, rate and method, and where DARE keeps more than magnitude."""
    groups: dict[str, list[Record]] = {}
    for one in records:
        if "1" in one["own"]:
            groups.setdefault(f"{one['set']['size']}, {one['set']['regime']}", []).append(one)
    if not groups:
        return []
    rates = list(dict.fromkeys(at["rate"] for one in records for at in one["places"]))
    rows, more = [], []
    for name, of in groups.items():
        kept = {method: _means(places_of(of, method), rates) for method in PRUNED}
        pairs = list(zip(rates, *kept.values(), strict=True))
        sets = len({set_title(one["set"]) for one in of})
        rows.append([name, f"{sets}", *(f"{100 * a:.0f} / {100 * b:.0f}" for _, a, b in pairs)])
        ahead = [
            f"{100 * rate:g} %" for rate, magnitude, dare in pairs if dare - magnitude > A_POINT
        ]
        more += [f"{name} at {listed(ahead)}"] if ahead else []
    return [
        "## What is kept",
        "Mean retention of the deltas in per cent, pruned by magnitude / by DARE:",
        markdown_table(["models", "sets", *(f"{100 * rate:g} % pruned" for rate in rates)], rows),
        f"DARE keeps more than magnitude, by over a point, with {'; '.join(more) or 'none'}. "
        "These are means of few sets, without a claim.",
    ]


def _means(places: Sequence[PrunedPlace], rates: Sequence[float]) -> list[float]:
    return [fmean(one.kept for one in places if one.rate == rate) for rate in rates]


def _errors(places: Sequence[PrunedPlace]) -> dict[tuple[str, ...], float]:
    return {names: error(places, foretold_elsewhere(places, names)) for names in RULES}


def _rules(
    errors: Mapping[str, Mapping[tuple[str, ...], float]], rules: Mapping[str, KeptRule]
) -> list[str]:
    rows = [
        [
            " and ".join(SYMBOLS[name] for name in names) or "none: the mean of the other sets",
            *(f"{100 * of[names]:.1f}" for of in errors.values()),
        ]
        for names in RULES
    ]
    return [
        "## Which figures foretell retention",
        "The *profile* of a delta is made from its weights; no question is asked. A rule is a "
        "logistic curve over figures of it. *Error*: mean distance between foretold and measured "
        "retention, in points; each set is foretold by sets of other bases. The best rule is the "
        "one with the least error, so its own error is optimistic.",
        markdown_table(["figures", *(f"error, {TITLES[method]}" for method in errors)], rows),
        "p is the rate, E the share of the sum of d² that magnitude pruning keeps, s = ‖d‖/‖W‖ "
        "over the modules, r = s·√(1 − E). The best rules, fitted to all sets:",
        "\n".join(f"- {_formula(TITLES[method], rule)}" for method, rule in rules.items()),
    ]


def _formula(title: str, rule: KeptRule) -> str:
    terms = "".join(
        f" {'−' if weight < 0 else '+'} {abs(weight):.2f} · {SYMBOLS[name]}"
        for name, weight in zip(rule.names, rule.weights[1:], strict=True)
    )
    return f"{title}: logit(retention) = {rule.weights[0]:.2f}{terms}".replace("= -", "= −")


def _added(
    records: Sequence[Record], foretold: Mapping[tuple[str, str, float], float]
) -> list[str]:
    rates = {at["rate"] for one in records for at in one["places"] if "searched" in at}
    searched = listed([f"{100 * rate:g} %" for rate in sorted(rates)])
    sets = dict.fromkeys(set_title(one["set"]) for one in records)
    return [
        "## What DPPA and DARE add",
        f"At {searched} each method's factors, coefficient and strength were searched on "
        f"{records[0]['search_items']} search items, with one budget, in {len(sets)} of the sets "
        f"({'; '.join(sets)}). Differences are means over the deltas of a set, then over the sets, "
        "with Student's interval over sets (95 %), not corrected for their number: they support no "
        "claim. In brackets the deltas and sets.",
        _methods(records, foretold),
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
