"""Advice on domain models by the size of their deltas: a pure function of measured facts.

Shares and retentions are fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dppa_core.charts.tables import factors_text, percent
from dppa_core.checkpoints.sources.references import is_stack
from dppa_core.errors import many
from dppa_core.tuning.advice.facts import (
    PROBE_KEEPS,
    PROBE_RATE,
    SMALL_RANGE,
    TOLERANCE,
    DomainModelFacts,
    ProbeFacts,
    ProfileFacts,
    TreatedFacts,
    enough,
    interval_text,
)
from dppa_core.tuning.advice.kept_rule import FITTED_SIZES, MEAN_ERROR, SHORTFALL

UNSTABLE_CHANGE = 0.1
"""A larger change of retention by one step (0.1) of a factor is unstable. A choice of ours: it
equals the whole loss that the paper allows."""
UNEVEN_GAP = 0.2
"""A larger difference between the best and worst retained domain of a merge is uneven. With DPPA at
90 % of all entries the domains of ten settled trainings lie 9 to 31 points apart, median 19
(lab/data/study)."""
CLAIMED_RATE, CLAIMED_RETENTION = 0.8, 0.9
"""The paper's claim: up to this rate so much of one model is kept. Beyond it the survey's rule
foretells what magnitude keeps; alone, DPPA keeps no more that is seen (lab/docs/survey.md)."""
ERROR_TEXT = f"{100 * MEAN_ERROR:.0f} points on average at 90 %"


class SignFinding(StrEnum):
    """The result of a check for a failure sign."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "not checked"


@dataclass(frozen=True, slots=True)
class Sign:
    """One of the paper's failure signs, checked."""

    name: str
    """unstable factors, uneven domains, or loss beyond the expected."""
    model: str
    """Empty for a sign of the whole merge."""
    found: SignFinding
    why: str


def failure_signs(facts: Sequence[DomainModelFacts]) -> tuple[Sign, ...]:
    """Failure signs of every model pruned by DPPA, and of the merge; empty without DPPA."""
    signs: list[Sign] = []
    for of_model in facts:
        model, treated = of_model.model, of_model.treated
        if treated is not None:
            signs += [_unstable(model, treated), _lossy(model, treated)]
    return (*signs, _uneven(facts)) if signs else ()


def _unstable(model: str, facts: TreatedFacts) -> Sign:
    name, largest = "unstable factors", max(facts.factors)
    high = f"the largest factor is {largest:g}; searches look up to {facts.bound:g}"
    if largest > facts.bound + TOLERANCE:
        return Sign(name, model, SignFinding.YES, high)
    if facts.neighbours is None or facts.alone is None:
        return Sign(
            name, model, SignFinding.UNKNOWN, f"{high}; neighbouring factors were not asked"
        )
    if not facts.neighbours:
        return Sign(name, model, SignFinding.UNKNOWN, f"{high}; there is no neighbouring factor")
    retention = facts.alone.value
    worst = max(facts.neighbours, key=lambda neighbour: abs(neighbour.retention - retention))
    step = worst.retention - retention
    unstable = abs(step) > UNSTABLE_CHANGE and worst.p < 0.05
    points = f"{100 * step:+.1f}".replace("-", "\u2212")
    why = (
        f"of the factors one step away, {factors_text(worst.factors)} changes the retention most, "
        f"by {points} points, p = {worst.p:.2g} (a lot: above {100 * UNSTABLE_CHANGE:.0f} points "
        f"and p < 0.05); {high}"
    )
    return Sign(name, model, SignFinding.YES if unstable else SignFinding.NO, why)


def _lossy(model: str, facts: TreatedFacts) -> Sign:
    name = "loss beyond the expected"
    if facts.alone is None:
        return Sign(name, model, SignFinding.UNKNOWN, "the model alone was not asked")
    kept = f"alone, pruned at {100 * facts.rate:.4g} %, it keeps {interval_text(facts.alone)}"
    least, why = _expected(facts)
    if least is None:
        return Sign(name, model, SignFinding.UNKNOWN, f"{kept}; {why}")
    why = f"{kept}; expected: at least {percent(least, 1)} ({why})"
    if facts.alone.low <= least <= facts.alone.high:
        why += "; the interval holds that"
    if facts.alone.value >= least - TOLERANCE:
        return Sign(name, model, SignFinding.NO, why)
    below = facts.alone.high < least
    return Sign(name, model, SignFinding.YES if below else SignFinding.UNKNOWN, why)


def _expected(facts: TreatedFacts) -> tuple[float | None, str]:
    """The least retention of one model that is no sign of failure, and its source."""
    if facts.rate <= CLAIMED_RATE + TOLERANCE:
        return CLAIMED_RETENTION, f"the paper's claim up to {percent(CLAIMED_RATE)}"
    if facts.foretold is None:
        beyond = f"beyond {percent(CLAIMED_RATE)} nothing is known to expect"
        return None, f"{beyond} of a delta of this size"
    rule = f"the survey's rule foretells {percent(facts.foretold)} for magnitude"
    if facts.foretold <= SHORTFALL:
        return None, f"{rule}, so no loss is beyond the expected"
    often = f"one delta of twenty keeps {100 * SHORTFALL:.0f} points less than that"
    return facts.foretold - SHORTFALL, f"{rule}; {often}"


def _uneven(facts: Sequence[DomainModelFacts]) -> Sign:
    name = "uneven domains"
    kept = [
        (of_model.model, of_model.treated.merged)
        for of_model in facts
        if of_model.treated is not None and of_model.treated.merged is not None
    ]
    if len(kept) < 2:
        return Sign(name, "", SignFinding.UNKNOWN, "fewer than two domains of the merge were asked")
    most, least = (pick(kept, key=lambda pair: pair[1].value) for pick in (max, min))
    gap = most[1].value - least[1].value
    apart = gap > UNEVEN_GAP and least[1].high < most[1].low
    why = (
        f"in the merge {least[0]} keeps {interval_text(least[1])}, {most[0]} "
        f"{interval_text(most[1])}: {100 * gap:.1f} points apart (far: above "
        f"{100 * UNEVEN_GAP:.0f}, with intervals that do not meet)"
    )
    return Sign(name, "", SignFinding.YES if apart else SignFinding.NO, why)


TRY_RATE = 0.8
"""Pruning rate to try at first: the paper's headline, 20 % of the parameters kept."""
SMALL_OUTSIDE = 0.01
"""Largest share of entries outside `SMALL_RANGE` in a small delta; our choice, not the paper's."""


class ModelDeltaSize(StrEnum):
    """Size of a domain model's deltas."""

    SMALL = "small"
    LARGE = "large"
    UNCLEAR = "unclear"


_ADVICE = {
    ModelDeltaSize.SMALL: (
        "the deltas are small: DARE or task arithmetic will do; to store them, keep a draw (drawn)"
    ),
    ModelDeltaSize.LARGE: (
        "the deltas are large: add them whole (task arithmetic); to prune, try magnitude at "
        f"{percent(TRY_RATE)}, and DPPA beside it; to store them, try few bits (bits)"
    ),
    ModelDeltaSize.UNCLEAR: "small or large: the profile alone does not tell, a probe would",
}
_BETWEEN = (
    "between small and large, draws of DARE lie on both sides: add them whole (task arithmetic)"
)
_STACK = (
    "a stack of layers is taken as it is (passthrough), or mixed with another one (slerp); only if "
    "the base is a stack of the same layers, "
)


@dataclass(frozen=True, slots=True)
class ModelAdvice:
    """Advice on one model."""

    model: str
    size: ModelDeltaSize
    by: str
    """probe or profile."""
    by_profile: ModelDeltaSize
    advice: str
    why: tuple[str, ...]
    """The figures behind it, and caveats."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Advice on each model, and the failure signs of a recipe."""

    models: tuple[ModelAdvice, ...]
    signs: tuple[Sign, ...]


def advise(facts: Sequence[DomainModelFacts]) -> Advice:
    """Judge each model by its probe, else by its profile; check the failure signs of a recipe."""
    return Advice(tuple(map(_judged, facts)), failure_signs(facts))


def size_by_profile(facts: ProfileFacts) -> ModelDeltaSize:
    """Small in the sense of the DARE paper, else unclear: the rules of the survey do not foretell
    well enough on which side of nine tenths a delta lies (lab/docs/survey.md)."""
    small = facts.outside <= SMALL_OUTSIDE
    return ModelDeltaSize.SMALL if small else ModelDeltaSize.UNCLEAR


def size_by_probe(facts: ProbeFacts | None) -> ModelDeltaSize | None:
    """Small or large by the paper's rule of thumb, unclear if its draws disagree; None without a
    conclusive probe."""
    if facts is None or not facts.tells:
        return None
    if facts.split:
        return ModelDeltaSize.UNCLEAR
    return ModelDeltaSize.SMALL if enough(facts.retention) else ModelDeltaSize.LARGE


def _judged(facts: DomainModelFacts) -> ModelAdvice:
    by_profile, by_probe = size_by_profile(facts.profile), size_by_probe(facts.probe)
    size = by_probe or by_profile
    why = (*_probe_lines(facts.probe), *_profile_lines(facts.profile, by_profile))
    why += () if by_probe else (_forecast(facts.profile),)
    if by_probe and ModelDeltaSize.UNCLEAR not in (by_probe, by_profile) and by_probe != by_profile:
        why += (
            f"probe and profile disagree: {by_probe} by the probe, {by_profile} by the profile; "
            "the probe counts, since it asked the model",
        )
    by = "probe" if by_probe else "profile"
    advice = _BETWEEN if by_probe is ModelDeltaSize.UNCLEAR else _ADVICE[size]
    advice = _STACK + advice if is_stack(facts.model) else advice
    return ModelAdvice(facts.model, size, by, by_profile, advice, why)


def _probe_lines(facts: ProbeFacts | None) -> tuple[str, ...]:
    if facts is None:
        return ("no probe: the domain of this model is not known here (--tasks names it)",)
    least = percent(PROBE_KEEPS)
    questions = (
        f"probe: of {facts.n} search items of {facts.domain} the model answers "
        f"{percent(facts.own, 1)}, the base {percent(facts.base, 1)}"
    )
    if not facts.draws:
        return (f"{questions}: nothing to keep, so the probe tells nothing",)
    if not facts.tells:
        return (f"{questions}: the base alone would keep {least}, so the probe tells nothing",)
    drawn = ", ".join(map(interval_text, facts.draws))
    lines = [
        questions,
        f"DARE at {percent(PROBE_RATE)} keeps {percent(facts.retention, 1)} of that, mean of "
        f"{many(len(facts.draws), 'draw')}: {drawn}; small from {least}",
    ]
    if facts.magnitude is not None:
        lines.append(f"magnitude at {percent(PROBE_RATE)} keeps {interval_text(facts.magnitude)}")
    if facts.split:
        lines.append(f"draws lie on both sides of {least}: neither small nor large")
    elif any(draw.low <= PROBE_KEEPS <= draw.high for draw in facts.draws):
        lines.append(f"intervals hold {least}: more items (--limit) would tell better")
    return tuple(lines)


def _forecast(facts: ProfileFacts) -> str:
    """The forecast of the survey's rule where no question was asked."""
    if facts.foretold:
        kept = ", ".join(f"{percent(share)} at {percent(rate)}" for rate, share in facts.foretold)
        return (
            f"pruned by magnitude, the survey's rule foretells, it keeps {kept}; the rule is wrong "
            f"by {ERROR_TEXT}, too much to tell a size"
        )
    low, high = FITTED_SIZES
    return (
        "the survey's rule foretells nothing: it was fitted to ‖d‖/‖W‖ from "
        f"{low:g} to {high:g}, of models up to 4.2 million parameters"
    )


def _profile_lines(facts: ProfileFacts, size: ModelDeltaSize) -> tuple[str, ...]:
    least, mean, most = facts.significance
    lines = [
        f"profile: ‖d‖/‖W‖ {facts.relative_change:.3f}, "
        f"{percent(facts.outside, 1)} of |d| above {SMALL_RANGE:g} (small up to "
        f"{percent(SMALL_OUTSIDE)}), mean |d| {facts.mean_magnitude:.2g}: {size}",
        f"significance of the modules {percent(least, 3)} to {percent(most, 3)}, mean "
        f"{percent(mean, 3)}; {percent(facts.zeros, 1)} of the entries unchanged",
    ]
    if least == most:
        lines.append("all modules are equally significant: DPPA prunes them all alike")
    if facts.zeros >= TRY_RATE:
        lines.append(f"pruning at {percent(TRY_RATE)} drops nothing: so much is unchanged already")
    return tuple(lines)
