"""The survey as a page: what is kept, rules with their errors, and what methods add."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from dppa_core.evaluation.tables import listed, markdown_table
from dppa_core.tuning.advice.kept_rule import KeptRule
from dppa_lab.zoo.survey import breaks, elsewhere, searched, second_order
from dppa_lab.zoo.survey.measure import PRUNED
from dppa_lab.zoo.survey.rule import (
    ASKED,
    LEAST_OWN,
    RULES,
    SYMBOLS,
    PrunedPlace,
    Record,
    best_rule,
    errors_elsewhere,
    fit,
    foretold_elsewhere,
    is_trained_here,
    kind,
    places_of,
    trained_here,
)
from dppa_lab.zoo.survey.searched import TITLES

LEAST_BASES = 2
A_POINT, WIDE = 0.01, 0.1
TRIED = 0.9
"""A rate at which little and much is kept: at others most rules are right more easily."""
SHRUNK_AT = (0.8, 0.9, 0.95)


def markdown(records: Sequence[Record], command: str) -> str:
    """The page, from the records of `survey_set` for all sets."""
    everywhere = places_of(records, "magnitude")
    parts = [
        "# How far can a delta be pruned?",
        *_intro(records, everywhere, command),
        *_kept(records),
        *_shrunk(everywhere),
        *searched.regained(records),
        *breaks.told(records),
        *second_order.told(records),
    ]
    fitted = trained_here(records)
    places = {method: places_of(fitted, method) for method in PRUNED}
    known, bases = places["magnitude"], {one.base for one in places["magnitude"]}
    if len(bases) < LEAST_BASES:
        parts.append(f"A rule needs sets of {LEAST_BASES} bases whose models answer anything.")
        return "\n\n".join(parts) + "\n"
    errors = {method: errors_elsewhere(of) for method, of in places.items()}
    best = best_rule(errors["magnitude"])
    parts += [*_rules(errors, places), *elsewhere.told(records, errors, places)]
    asked = [one for one in fitted if any("searched" in at for at in one["places"])]
    if asked:
        keys = [(one.set, one.domain, one.rate) for one in known]
        foretold = foretold_elsewhere(known, best)
        parts += searched.added(asked, dict(zip(keys, foretold, strict=True)))
    return "\n\n".join(parts) + "\n"


def _intro(records: Sequence[Record], known: Sequence[PrunedPlace], command: str) -> list[str]:
    """What is measured, and on what."""
    items = "; ".join(_items(records))
    deltas, bases = {(one.set, one.domain) for one in known}, {one.base for one in known}
    sets = {one.set for one in known}
    scaled = sum("×" in one for one in sets)
    return [
        "A *delta* is a domain model minus its base. Here each one is pruned, put back on its base "
        "alone, and asked the test items of its domain. *Retention* is the accuracy divided by the "
        "domain model's own. Rates count the entries of the *modules*, the matrices inside the "
        "layers; embeddings and norms keep all of their change ([words](start/words.md)). The "
        "sets of models differ in size, seed and regime: how the domain models were trained "
        "([regimes](embedded-models.md#with-other-seeds-and-trained-alone)): `settled` models met "
        "each other in training, `plain` ones were trained alone.",
        f"{len(deltas)} deltas of {len(sets)} sets, on {len(bases)} bases: {len(sets) - scaled} "
        f"trained ones, and {scaled} whose deltas are multiplied. *× 0.5* stands for base + 0.5 · "
        "delta, pruned as if it were a model of its own (`dppa zoo survey --scale 0.5`); small, "
        "medium and embedded models have 0.6, 1.3 and 4.2 million "
        "parameters, smollm2 has 135. Models that answer less than "
        f"{100 * LEAST_OWN:g} % are left out. Test items: {items}. Nothing was chosen but where a "
        "search is named. DARE drops at random, one draw, and multiplies what is kept by "
        f"1/(1 − p). Made by `{command}`.",
    ]


def _items(records: Sequence[Record]) -> list[str]:
    """How many test items were asked of each domain; models of elsewhere apart."""
    asked: dict[str, dict[str, int]] = {}
    for one in sorted(records, key=is_trained_here, reverse=True):
        name = "" if is_trained_here(one) else f"{one['set']['size']}: "
        asked.setdefault(name, {})[one["domain"]] = len(one["own"])
    return [
        name + listed([f"{count} of {domain}" for domain, count in of.items()])
        for name, of in asked.items()
    ]


def _groups(places: Sequence[PrunedPlace]) -> dict[str, list[PrunedPlace]]:
    """The places of all seeds of a size, a regime and a scale."""
    groups: dict[str, list[PrunedPlace]] = {}
    for one in places:
        groups.setdefault(kind(one.set), []).append(one)
    return groups


def _kept(records: Sequence[Record]) -> list[str]:
    """Mean retention by regime, rate and method, and where DARE keeps more than magnitude."""
    by_method = {method: _groups(places_of(records, method)) for method in PRUNED}
    rates = list(dict.fromkeys(at["rate"] for one in records for at in one["places"]))
    rows, more = [], []
    for name, of in by_method["magnitude"].items():
        kept = [_means(groups[name], rates) for groups in by_method.values()]
        pairs = list(zip(rates, *kept, strict=True))
        sets = len({one.set for one in of})
        rows.append([name, f"{sets}", *(f"{100 * a:.0f} / {100 * b:.0f}" for _, a, b in pairs)])
        ahead = [
            f"{100 * rate:g} %" for rate, magnitude, dare in pairs if dare - magnitude > A_POINT
        ]
        more += [f"{name} at {listed(ahead)}"] if ahead else []
    if not rows:
        return []
    return [
        "## What is kept",
        "Mean retention of the deltas in per cent, pruned by magnitude / by DARE:",
        markdown_table(["models", "sets", *(f"{100 * rate:g} % pruned" for rate in rates)], rows),
        f"DARE keeps more than magnitude, by over a point, with {'; '.join(more) or 'none'}. "
        "These are means of few sets, without a claim.",
    ]


def _shrunk(places: Sequence[PrunedPlace]) -> list[str]:
    """How much of magnitude's loss is that the delta becomes shorter."""
    rates = [rate for rate in dict.fromkeys(one.rate for one in places) if rate in SHRUNK_AT]
    rows, apart = [], {}
    for name, of in _groups(places).items():
        at_rates = [[one for one in of if one.rate == rate] for rate in rates]
        means = [
            [fmean(getattr(one, figure) for one in at) for figure in ("energy", "kept", "shrunk")]
            for at in at_rates
        ]
        rows.append([name, *("{:.0f}: {:.0f} / {:.0f}".format(*_percent(at)) for at in means)])
        apart[name] = max((whole - kept for _, kept, whole in means), default=0.0)
    more = [name for name, gap in apart.items() if gap > WIDE]
    alike = [name for name in apart if name not in more]
    return [
        "## Pruning by magnitude shrinks a delta",
        "What magnitude pruning keeps of d holds a share E of Σ d². Seen along d, the pruned delta "
        "is E · d, and the rest stands at a right angle to it. So one may ask how much of the loss "
        "comes from the shrinking: nothing is dropped, and the modules' deltas are multiplied by E "
        "(answers at six factors, straight lines between them). Factors above 1 make a delta "
        "longer again.",
        "E in per cent: retention pruned by magnitude / shrunk by E, means of the deltas in per "
        "cent:",
        markdown_table(["models", *(f"{100 * rate:g} % pruned" for rate in rates)], rows),
        f"Pruning costs over {100 * WIDE:g} points more than shrinking, at one of these rates, "
        f"with {'; '.join(more) or 'none'}. It does not with {'; '.join(alike) or 'none'}: there "
        "shrinking alone costs about as much, or more.",
    ]


def _percent(shares: Sequence[float]) -> list[float]:
    return [100 * share for share in shares]


def _means(places: Sequence[PrunedPlace], rates: Sequence[float]) -> list[float]:
    return [fmean(one.kept for one in places if one.rate == rate) for rate in rates]


def _rules(
    errors: Mapping[str, Mapping[tuple[str, ...], float]],
    places: Mapping[str, Sequence[PrunedPlace]],
) -> list[str]:
    told = {m: (of, errors_elsewhere(places[m], (TRIED,))) for m, of in errors.items()}
    formulas = []
    for method, of in errors.items():
        for names in dict.fromkeys((best_rule(of), best_rule(of, without=ASKED))):
            formulas.append(f"- {_formula(TITLES[method], fit(places[method], names))}")
    rows = [
        [
            " and ".join(SYMBOLS[name] for name in names) or "none: the mean of the other sets",
            *(_points(of[names]) for pair in told.values() for of in pair),
        ]
        for names in RULES
    ]
    heads = [f"{TITLES[m]}, {at}" for m in errors for at in ("all rates", f"{100 * TRIED:g} %")]
    return [
        "## Which figures foretell retention",
        "A rule is a logistic curve over some figures. All but R are of the *profile*, which is "
        "made from the weights: no question is asked. *Error*: mean distance between foretold and "
        "measured retention, in points; each set is foretold by sets of other bases, all "
        "of them trained here. The best rule is the one with the least error, so its own error is "
        "optimistic.",
        markdown_table(["figures", *heads], rows),
        "p is the rate, E the share of the sum of d² that magnitude pruning keeps, s = ‖d‖/‖W‖ "
        "over the modules, n = s·√(p/(1 − p)) the size of DARE's noise beside the weights, R the "
        "retention if the modules are shrunk by E. R is no forecast: it is measured on the same "
        "test questions. The best rules, and the best without questions, fitted to all sets of "
        "such bases:",
        "\n".join(formulas),
    ]


def _points(error: float) -> str:
    return "–" if math.isnan(error) else f"{100 * error:.1f}"


def _formula(title: str, rule: KeptRule) -> str:
    terms = "".join(
        f" {'−' if weight < 0 else '+'} {abs(weight):.2f} · {SYMBOLS[name]}"
        for name, weight in zip(rule.names, rule.weights[1:], strict=True)
    )
    return f"{title}: logit(retention) = {rule.weights[0]:.2f}{terms}".replace("= -", "= −")
