"""Forecast of what a pruned delta keeps: a logistic curve over some figures of the delta.

`dppa_lab.zoo.survey.rule` fits the curve and measures its error (lab/docs/survey.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

_LEAST_SHARE = 1e-6
_LEAST_RETENTION = 0.01
"""Retentions closer to 0 or 1 are not told apart: some hundred items were asked."""
_MAX_LOGIT = 50.0
"""Largest logit, so that exp stays finite."""


def figures(
    rate: float, energy: float, change: float, shrunk: float | None = None
) -> dict[str, float]:
    """The figures that a rule may use, on scales on which a logit is about straight.

    Args:
        rate: Share of the modules' entries that is dropped.
        energy: Share of the sum of d² that magnitude pruning keeps.
        change: ‖d‖/‖W‖ over the modules, above 0.
        shrunk: Retention if nothing is dropped but the modules' deltas are multiplied by `energy`;
            None if that was not asked.
    """
    noise = change * math.sqrt(rate / max(1 - rate, _LEAST_SHARE))
    scaled = {
        "rate": logit(rate),
        "energy kept": logit(energy),
        "size": math.log(max(change, _LEAST_SHARE)),
        "noise": math.log(max(noise, _LEAST_SHARE)),
    }
    if shrunk is not None:
        scaled["shrunk"] = logit(min(max(shrunk, _LEAST_RETENTION), 1 - _LEAST_RETENTION))
    return scaled


@dataclass(frozen=True, slots=True)
class KeptRule:
    """Foretells the retention of one model whose modules are pruned."""

    names: tuple[str, ...]
    """Some keys of `figures`."""
    weights: tuple[float, ...]
    """Of 1, then of each figure; their sum of products is the logit of the retention."""

    def foretold(self, values: Mapping[str, float]) -> float:
        """The retention, as a fraction, from the values of `figures`."""
        rows = (1.0, *(values[name] for name in self.names))
        logit = math.fsum(weight * row for weight, row in zip(self.weights, rows, strict=True))
        return 1 / (1 + math.exp(-min(max(logit, -_MAX_LOGIT), _MAX_LOGIT)))


def logit(share: float) -> float:
    """ln(share ÷ (1 − share)); shares are cut at one millionth from 0 and 1."""
    inside = min(max(share, _LEAST_SHARE), 1 - _LEAST_SHARE)
    return math.log(inside / (1 - inside))


FITTED = KeptRule(("energy kept", "size"), (4.07, 1.5, 2.04))
"""The rule for magnitude pruning that asks no question, fitted to the surveyed deltas of models
with 0.6 to 4.2 million parameters."""
MEAN_ERROR = 0.194
"""Its mean distance from the retention at 90 %, for sets of bases that it was not fitted to."""
SHORTFALL = 0.34
"""Beyond 80 % one place of twenty keeps this much less than the rule foretells from other bases."""
FITTED_SIZES, FITTED_RATE = (0.073, 0.78), 0.98
"""Least and largest ‖d‖/‖W‖ of the deltas it was fitted to, and the largest rate. Outside it
foretells nothing: of SmolLM2's shorter deltas it is wrong by 76 points."""


def foretold(rate: float, energy: float, change: float) -> float | None:
    """The retention that `FITTED` foretells for a model pruned by magnitude, as a fraction; None
    for a rate or a size that it was not fitted to."""
    low, high = FITTED_SIZES
    if not low <= change <= high or rate > FITTED_RATE:
        return None
    return FITTED.foretold(figures(rate, energy, change))
