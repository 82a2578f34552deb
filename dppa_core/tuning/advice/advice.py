"""What to do with domain models: are their deltas small or large?

Knows figures, no model: a pure function from facts to advice. Shares and retentions are fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from dppa_core.errors import many
from dppa_core.tuning.advice.facts import (
    PROBE_KEEPS,
    PROBE_RATE,
    SMALL_RANGE,
    DomainModelFacts,
    ProbeFacts,
    ProfileFacts,
    enough,
    interval_text,
    percent,
)
from dppa_core.tuning.advice.signs import Sign, failure_signs

TRY_RATE = 0.8
"""Rate at which DPPA is worth a try first: the paper's headline, 20 % of the parameters kept."""
SMALL_OUTSIDE = 0.01
"""Share of entries that may lie outside `SMALL_RANGE`. The paper names no share; this is ours."""
LARGE_CHANGE = 0.2
"""‖d‖/‖W‖ from which deltas are large by the profile alone. Measured on the embedded models: math
(0.256) is large by every draw of the probe. Below it finance (0.194) and law (0.157) lie on either
side of the probe's bound, so nothing is said; one model stands behind it (docs/evaluation.md)."""


class ModelDeltaSize(StrEnum):
    """How large the deltas of a domain model are."""

    SMALL = "small"
    LARGE = "large"
    UNCLEAR = "unclear"


_ADVICE = {
    ModelDeltaSize.SMALL: "the deltas are small: DARE or task arithmetic will do",
    ModelDeltaSize.LARGE: (
        f"the deltas are large: try DPPA at {percent(TRY_RATE)}, and magnitude beside it"
    ),
    ModelDeltaSize.UNCLEAR: "small or large: the profile alone does not tell, a probe would",
}


@dataclass(frozen=True, slots=True)
class ModelAdvice:
    """What to do with one model."""

    model: str
    size: ModelDeltaSize
    by: str
    """probe or profile."""
    by_profile: ModelDeltaSize
    advice: str
    why: tuple[str, ...]
    """The figures, and what to keep in mind."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do with each model, and the failure signs of a recipe."""

    models: tuple[ModelAdvice, ...]
    signs: tuple[Sign, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        return asdict(self)


def advise(facts: Sequence[DomainModelFacts]) -> Advice:
    """Judge each model by its probe, else by its profile; check the failure signs of a recipe."""
    return Advice(tuple(map(_judged, facts)), failure_signs(facts))


def size_by_profile(facts: ProfileFacts) -> ModelDeltaSize:
    """Small and large where thresholds say so; in between, nobody has measured."""
    if facts.outside <= SMALL_OUTSIDE:
        return ModelDeltaSize.SMALL
    return ModelDeltaSize.LARGE if facts.relative_change >= LARGE_CHANGE else ModelDeltaSize.UNCLEAR


def size_by_probe(facts: ProbeFacts | None) -> ModelDeltaSize | None:
    """The paper's rule of thumb; None where there is no probe, or it cannot tell."""
    if facts is None or not facts.tells:
        return None
    return ModelDeltaSize.SMALL if enough(facts.retention) else ModelDeltaSize.LARGE


def _judged(facts: DomainModelFacts) -> ModelAdvice:
    by_profile, by_probe = size_by_profile(facts.profile), size_by_probe(facts.probe)
    size = by_probe or by_profile
    why = (*_probe_lines(facts.probe), *_profile_lines(facts.profile, by_profile))
    if by_probe and by_profile is not ModelDeltaSize.UNCLEAR and by_probe is not by_profile:
        why += (
            f"probe and profile disagree: {by_probe} by the probe, {by_profile} by the profile; "
            "the probe counts, since it asked the model",
        )
    by = "probe" if by_probe else "profile"
    return ModelAdvice(facts.model, size, by, by_profile, _ADVICE[size], why)


def _probe_lines(facts: ProbeFacts | None) -> tuple[str, ...]:
    if facts is None:
        return ("no probe: the domain of this model is not known here (--tasks names it)",)
    least = percent(PROBE_KEEPS)
    asked = (
        f"probe: of {facts.n} search items of {facts.domain} the model answers "
        f"{percent(facts.own, 1)}, the base {percent(facts.base, 1)}"
    )
    if not facts.draws:
        return (f"{asked}: nothing to keep, so the probe tells nothing",)
    if not facts.tells:
        return (f"{asked}: the base alone would keep {least}, so the probe tells nothing",)
    drawn = ", ".join(map(interval_text, facts.draws))
    lines = [
        asked,
        f"DARE at {percent(PROBE_RATE)} keeps {percent(facts.retention, 1)} of that, mean of "
        f"{many(len(facts.draws), 'draw')}: {drawn}; small from {least}",
    ]
    if facts.split:
        lines.append(f"draws lie on both sides of {least}: the choice is a close one")
    elif any(one.low <= PROBE_KEEPS <= one.high for one in facts.draws):
        lines.append(f"intervals hold {least}: more items (--limit) would tell better")
    return tuple(lines)


def _profile_lines(facts: ProfileFacts, size: ModelDeltaSize) -> tuple[str, ...]:
    least, mean, most = facts.significance
    lines = [
        f"profile: ‖d‖/‖W‖ {facts.relative_change:.3f} (large from {LARGE_CHANGE:g}), "
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
