"""Findings from weights that are here: is this really the base?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from dppa_core.preflight_checks.facts import Finding, Severity, ok, warning
from dppa_core.pruning.delta_profile import DeltaProfile

FAR = 0.5
"""‖d‖/‖W‖ of a whole model above which a warning is due. Fine-tuning stays in the hundredths, the
embedded models, small and trained hard, at 0.2; long training on with other data goes further."""
UNRELATED = 0.9
"""From here on this is another base. Two models that have nothing to do with each other (a cosine
of 0), the second s times as large, are at √(1 + s²): √2 at equal norms, never below 1. A tenth is
left for what they have in common by chance or by the same start; at 0.9 the cosine is bounded by
0.44, an angle of up to 64°: hardly alike."""


@dataclass(frozen=True, slots=True)
class BaseDistance:
    """Distance of a domain model from its base."""

    ratio: float
    """‖d‖/‖W‖ over all modules."""
    layers: tuple[float, ...]
    """The same for each layer, the first layer first."""

    @property
    def least_cosine(self) -> float:
        """Lower bound of the cosine between both models' weights, whatever the delta's direction.

        W + d with ‖d‖ = r‖W‖ lies within a ball around W: the angle's sine is at most r.
        """
        return math.sqrt(1 - self.ratio**2) if self.ratio < 1 else -1.0

    def to_json(self) -> dict[str, object]:
        """Ratio, layers and the bound of the cosine; null if the base's weights are 0."""
        return {
            "ratio": _finite(self.ratio),
            "layers": [_finite(ratio) for ratio in self.layers],
            "least_cosine": self.least_cosine,
        }


def measure_distance(profile: DeltaProfile) -> BaseDistance:
    """‖d‖/‖W‖ of a profile; infinite if the base is all zeros."""
    squares: dict[int, list[float]] = {}
    for item in profile.modules:
        sums = squares.setdefault(item.module.layer, [0.0, 0.0])
        sums[0] += item.delta_square
        sums[1] += item.base_square
    whole = [sum(column) for column in zip(*squares.values(), strict=True)] or [0.0, 0.0]
    return BaseDistance(_ratio(*whole), tuple(_ratio(*squares[layer]) for layer in sorted(squares)))


def _finite(ratio: float) -> float | None:
    return ratio if math.isfinite(ratio) else None


def _ratio(delta: float, base: float) -> float:
    if delta == 0:
        return 0.0
    return math.sqrt(delta / base) if base else math.inf


def about_distance(model: str, distance: BaseDistance) -> Finding:
    """Finding on the base: a model far away was hardly made from it."""
    least, most = min(distance.layers, default=0), max(distance.layers, default=0)
    sentence = (
        f"Its delta is {distance.ratio:.2g} times as large as the base's weights "
        f"({least:.2g} to {most:.2g} by layer)"
    )
    if distance.ratio == 0:
        return warning(
            "base",
            model,
            "Its modules equal the base's: there is no delta to merge.",
            "A copy of the base under another name is the usual cause.",
            "Choose a fine-tuned model.",
        )
    cosine = f"the cosine between both is at least {distance.least_cosine:.2g}"
    if distance.ratio >= UNRELATED:
        return warning(
            "base",
            model,
            f"{sentence}{f'; {cosine}' if distance.ratio < 1 else ''}.",
            "Two unrelated models are at about 1.4 where their weights are equally large, and not "
            "below 1: this is another base, or a training from scratch.",
            "Choose the base it was made from; a merge with this one gives gibberish.",
        )
    if distance.ratio > FAR:
        return warning(
            "base",
            model,
            f"{sentence}; {cosine}.",
            f"Fine-tuning stays far below {FAR:g}; long training on, or another base, does not.",
            "Look at its card for the base it was made from.",
        )
    return ok("base", model, f"{sentence}; {cosine}.")


def base_warnings(measured: Iterable[tuple[str, DeltaProfile]]) -> tuple[str, ...]:
    """A merge's warnings: one line for each domain model that was hardly made from its base."""
    findings = (about_distance(model, measure_distance(profile)) for model, profile in measured)
    return tuple(
        f"{finding.model}: {finding.what} {finding.why} {finding.remedy}"
        for finding in findings
        if finding.severity is Severity.WARNING
    )
