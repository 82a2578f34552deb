"""Cost of pruning a delta, and the share that a factor on the rest recovers: predicted, measured.

Let θ be a domain model, k the part of its delta that pruning keeps and r the part that it removes.
Pruned and amplified by a, the model is θ + (a - 1) k - r. Near θ its loss is quadratic,

    L(a) = L + (a - 1) g·k - g·r + ((a - 1)² kᵀGk - 2 (a - 1) kᵀGr + rᵀGr) / 2,

with the gradient g and the Gauss-Newton matrix G of the mean loss of right answers. So r costs
rᵀGr / 2, the best factor is 1 + (kᵀGr - g·k) / kᵀGk, and without the gradient it wins back the
share (kᵀGr)² / (kᵀGk · rᵀGr) of that cost: the squared cosine of the angle between what k and what
r do to the logits. A diagonal G, as of Fisher weights, has kᵀGr = 0: by it, no factor helps.

G enters by products alone (`logit_changes.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

from dppa_core.evaluation.analysis.logit_changes import logit_changes
from dppa_core.progress import RunControl
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tasks.items import Item


@dataclass(frozen=True, slots=True)
class Quadratic:
    """The loss around a domain model, in nats per token, along a kept and a removed part."""

    loss: float
    """Of the domain model itself."""
    slope_kept: float
    slope_removed: float
    kept: float
    """kᵀGk, likewise below."""
    crossed: float
    removed: float

    def at(self, factor: float) -> float:
        """The loss of the pruned model with this factor."""
        more = factor - 1
        slope = more * self.slope_kept - self.slope_removed
        bend = more * more * self.kept - 2 * more * self.crossed + self.removed
        return self.loss + slope + bend / 2

    @property
    def best_factor(self) -> float:
        """The factor with the least loss; 1 if nothing is kept."""
        return 1 + (self.crossed - self.slope_kept) / self.kept if self.kept > 0 else 1.0

    @property
    def alike(self) -> float:
        """Share of the cost that the best factor wins back, in [0, 1]; slopes are ignored."""
        both = self.kept * self.removed
        return self.crossed * self.crossed / both if both > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Curvature:
    """A pruned delta on the right answers to some questions."""

    energy: float
    """Share of the sum of d² that is kept, over the modules."""
    quadratic: Quadratic
    losses: tuple[float, ...]
    """Measured with each factor, in nats per token."""


def curvature(
    recipe: MergeRecipe,
    items: Sequence[Item],
    factors: Sequence[float],
    **control: Unpack[RunControl],
) -> Curvature:
    """Predict and measure the loss of the right answers to some questions.

    Args:
        recipe: One domain model, pruned by a method that adds deltas; its factors are ignored.
        factors: Factors on all that is kept of the modules.

    Raises:
        InvalidValue: not one domain model.
        OutOfBudget: a model of more than `MAX_WEIGHTS` weights.
    """
    levels, settings = recipe.models[0].levels[-1:], [(factor,) for factor in factors]
    changes = logit_changes(recipe, levels, items, settings, **control)
    slopes = (float(changes.slope(part).mean()) for part in (0, 1))
    bends = (float(changes.product(*pair).mean()) for pair in ((0, 0), (0, 1), (1, 1)))
    quadratic = Quadratic(float(changes.losses.mean()), *slopes, *bends)
    losses = tuple(float(measured.mean()) for measured in changes.measured)
    return Curvature(changes.energies[0], quadratic, losses)
