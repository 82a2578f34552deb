"""The paper's failure signs, checked on the figures of a recipe.

Knows figures, no model: a pure function. Shares and retentions are fractions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dppa_core.tuning.advice.facts import (
    CLOSE,
    DomainModelFacts,
    TreatedFacts,
    interval_text,
    percent,
)

LARGEST_FACTOR = 1.7
"""The largest factor that the paper's climb found for DPPA on the embedded models, at 10 to 95 %
(docs/experiments.md, made by `make experiments`). The summary of the paper that this rests on gives
no range of factors."""
UNSTABLE = 0.1
"""Change of retention by a neighbouring factor, one step of 0.1, that is a lot. A choice of ours:
it would use up the whole tenth that the paper allows to be lost."""
UNEVEN = 0.15
"""Distance of the best kept domain from the least in a merge. DPPA at 80 % on the embedded models
reaches 0.145 (docs/results.json, `make results`); more than that is more than usual."""
EXPECTED: Mapping[float, tuple[float, str]] = {
    0.8: (0.9, "the paper's claim"),
    0.9: (0.769, "the least of the embedded models, docs/results.json"),
    0.95: (0.198, "the least of the embedded models, docs/results.json"),
}
"""Pruning rate -> retention to be expected of one model up to it, and by whom. The claim ends at
80 %; beyond it stands what DPPA kept of the embedded model that lost most (`make results`)."""


class SignFinding(StrEnum):
    """Whether a failure sign shows."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "not checked"


@dataclass(frozen=True, slots=True)
class Sign:
    """One of the paper's failure signs, checked."""

    name: str
    """unstable factors, uneven domains, or loss beyond the expected."""
    model: str
    """Empty where it is about all of them."""
    found: SignFinding
    why: str
    """The figures behind it."""


def failure_signs(facts: Sequence[DomainModelFacts]) -> tuple[Sign, ...]:
    """Those of every model that a recipe prunes by DPPA, and of all together; else none."""
    signs: list[Sign] = []
    for one in facts:
        if one.treated is not None:
            signs += [_unstable(one.model, one.treated), _lossy(one.model, one.treated)]
    return (*signs, _uneven(facts)) if signs else ()


def _unstable(model: str, facts: TreatedFacts) -> Sign:
    name, largest = "unstable factors", max(facts.factors)
    high = f"the largest factor is {largest:g}; climbs on the embedded models end at "
    high += f"{LARGEST_FACTOR:g} at most"
    if largest > LARGEST_FACTOR + CLOSE:
        return Sign(name, model, SignFinding.YES, high)
    if facts.neighbours is None or facts.alone is None:
        return Sign(
            name, model, SignFinding.UNKNOWN, f"{high}; neighbouring factors were not asked"
        )
    here = facts.alone.value
    if not facts.neighbours:
        return Sign(name, model, SignFinding.UNKNOWN, f"{high}; there is no neighbouring factor")
    worst = max(facts.neighbours, key=lambda one: abs(one.retention - here))
    factors = " / ".join(f"{factor:g}" for factor in worst.factors)
    step = worst.retention - here
    seen = abs(step) > UNSTABLE and worst.p < 0.05
    points = f"{100 * step:+.1f}".replace("-", "\u2212")
    why = (
        f"of the factors one step away, {factors} changes the retention most, by "
        f"{points} points, p = {worst.p:.2g} (a lot: above {100 * UNSTABLE:.0f} points "
        f"and p < 0.05); {high}"
    )
    return Sign(name, model, SignFinding.YES if seen else SignFinding.NO, why)


def _lossy(model: str, facts: TreatedFacts) -> Sign:
    name = "loss beyond the expected"
    known = [rate for rate in EXPECTED if facts.rate <= rate + CLOSE]
    if facts.alone is None:
        return Sign(name, model, SignFinding.UNKNOWN, "the model alone was not asked")
    kept = f"alone, pruned at {100 * facts.rate:.4g} %, it keeps {interval_text(facts.alone)}"
    if not known:
        why = f"{kept}; beyond {percent(max(EXPECTED))} nothing is known to expect"
        return Sign(name, model, SignFinding.UNKNOWN, why)
    expected, who = EXPECTED[min(known)]
    why = f"{kept}; expected at {percent(min(known))}: {percent(expected, 1)} ({who})"
    if facts.alone.low <= expected <= facts.alone.high:
        why += "; the interval holds that"
    return Sign(
        name,
        model,
        SignFinding.YES if facts.alone.value < expected - CLOSE else SignFinding.NO,
        why,
    )


def _uneven(facts: Sequence[DomainModelFacts]) -> Sign:
    name = "uneven domains"
    kept = [
        (one.model, one.treated.merged)
        for one in facts
        if one.treated is not None and one.treated.merged is not None
    ]
    if len(kept) < 2:
        return Sign(name, "", SignFinding.UNKNOWN, "fewer than two domains of the merge were asked")
    most, least = (pick(kept, key=lambda one: one[1].value) for pick in (max, min))
    gap = most[1].value - least[1].value
    apart = gap > UNEVEN and least[1].high < most[1].low
    why = (
        f"in the merge {least[0]} keeps {interval_text(least[1])}, {most[0]} "
        f"{interval_text(most[1])}: {100 * gap:.1f} points apart (far: above {100 * UNEVEN:.0f}, "
        "with intervals that do not meet)"
    )
    return Sign(name, "", SignFinding.YES if apart else SignFinding.NO, why)
