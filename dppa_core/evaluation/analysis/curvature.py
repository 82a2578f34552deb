"""What pruning a delta costs, and what a factor on the rest wins back: foretold and measured.

Let θ be a domain model, k the part of its delta that pruning keeps and r the part that it removes.
Pruned and amplified by a, the model is θ + (a - 1) k - r. Near θ its loss is quadratic,

    L(a) = L + (a - 1) g·k - g·r + ((a - 1)² kᵀGk - 2 (a - 1) kᵀGr + rᵀGr) / 2,

with the gradient g and the Gauss-Newton matrix G of the mean loss of right answers. So r costs
rᵀGr / 2, the best factor is 1 + (kᵀGr - g·k) / kᵀGk, and without the gradient it wins back the
share (kᵀGr)² / (kᵀGk · rᵀGr) of that cost: the squared cosine of the angle between what k and what
r do to the logits. A diagonal G, as of Fisher weights, has kᵀGr = 0: by it, no factor helps.

G enters by products alone. kᵀGr is the mean over tokens of the covariance, under the model's own
distribution, of the changes of the logits along k and along r, which are found by differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Unpack

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dppa_core.errors import InvalidValue, OutOfBudget
from dppa_core.evaluation.examiner import exchanges, threads_for
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.merger import TensorMerger, open_merger
from dppa_core.models.answer_loss import Exchange, grouped, reply_logits, surprise
from dppa_core.models.devices import moved
from dppa_core.models.parameter_views import find_places
from dppa_core.models.resident import Resident
from dppa_core.progress import RunControl, check
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks.items import Item

STEP = 0.02
"""Share of a direction by which weights move, either way, to find how logits change along it."""
LARGEST = 500_000_000
"""Most weights: base, kept and removed part and the model itself are in memory in float32."""
TOGETHER = 32
"""Texts read at once."""

Logits = Float[Tensor, "tokens vocab"]


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
        """Where the loss is least; 1 if nothing is kept."""
        return 1 + (self.crossed - self.slope_kept) / self.kept if self.kept > 0 else 1.0

    @property
    def alike(self) -> float:
        """Share of the cost that the best factor wins back, in [0, 1]; slopes left aside."""
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
    asked: Sequence[Item],
    factors: Sequence[float],
    **control: Unpack[RunControl],
) -> Curvature:
    """Foretell and measure the loss of the right answers to some questions.

    Args:
        recipe: One domain model, pruned by a method that adds deltas; its factors are left aside.
        factors: Factors on all that is kept of the modules.

    Raises:
        InvalidValue: not one domain model.
        OutOfBudget: a model of more than `LARGEST` weights.
    """
    if len(recipe.models) != 1:
        raise InvalidValue(f"It takes one domain model, got {len(recipe.models)}.")
    plain = DomainModel(recipe.models[0].model)
    whole = MergeRecipe(recipe.base, (plain,), "task_arithmetic", dtype="float32")
    pruned = replace(plain, levels=recipe.models[0].levels[-1:])
    merger = open_merger(whole, **control)
    numel = sum(spec.numel for spec in merger.plan.tensors.values())
    if numel > LARGEST:
        raise OutOfBudget(
            f"{plain.model}: its curvature takes 16 bytes for each of its {numel:,} weights; at "
            f"most {LARGEST:,} are allowed. A smaller model of the family is a way out."
        )
    resident = ModelPool().get(whole, **control)  # not shared, because it is written to
    resident = replace(resident, model=moved(resident.model, resident.nbytes))
    some = open_merger(replace(recipe, models=(pruned,), dtype="float32"))
    parts = _Parts(some, merger, resident)
    read = exchanges(resident, asked)
    with threads_for(resident), torch.inference_mode():
        start, tokens = _read(resident, read)
        along = []
        for kept, removed in ((STEP, 0.0), (0.0, STEP)):
            ends = []
            for sign in (1, -1):
                check(control.get("stop"))
                parts.write(1 + sign * kept, 1 + sign * removed)
                ends.append(_read(resident, read)[0])
            along.append((ends[0] - ends[1]) / (2 * STEP))
        losses = []
        for factor in factors:
            check(control.get("stop"))
            parts.write(factor, 0.0)
            losses.append(float(surprise(*_read(resident, read)).mean()))
    return Curvature(parts.energy, _products(start, tokens, *along), tuple(losses))


class _Parts:
    """Base, kept and removed part of every pruned matrix, and its place in memory."""

    def __init__(self, some: TensorMerger, all_: TensorMerger, resident: Resident) -> None:
        names = [module.tensor for module in some.plan.modules]
        shapes = {name: some.plan.tensors[name].shape for name in names}
        self._places = find_places(resident.model, shapes)
        self._parts = {}
        squares = [0.0, 0.0]
        for name in names:
            base = torch.from_numpy(to_float32(all_.base.raw(name), all_.base.dtype(name)))
            kept, delta = (torch.from_numpy(one.tensor(name)[2]) - base for one in (some, all_))
            self._parts[name] = base, kept, delta - kept
            squares[0] += float(kept.double().square().sum())
            squares[1] += float(delta.double().square().sum())
        self.energy = squares[0] / squares[1] if squares[1] else 1.0

    def write(self, kept: float, removed: float) -> None:
        """Make the model base + kept · k + removed · r."""
        for name, (base, k, r) in self._parts.items():
            place = self._places[name]
            place.copy_((base + kept * k + removed * r).view(place.shape))


def _read(resident: Resident, read: Sequence[Exchange]) -> tuple[Logits, Int[Tensor, " tokens"]]:
    parts = [reply_logits(resident.model, group) for group in grouped(read, TOGETHER)]
    logits, tokens = zip(*parts, strict=True)
    return torch.cat(logits).cpu(), torch.cat(tokens).cpu()


def _products(
    logits: Logits, tokens: Int[Tensor, " tokens"], kept: Logits, removed: Logits
) -> Quadratic:
    """Slopes and Gauss-Newton products of the mean loss, from the logits' changes along both."""
    shares = logits.softmax(-1)

    def product(one: Logits, other: Logits) -> float:
        means = (shares * one).sum(-1) * (shares * other).sum(-1)
        return float(((shares * one * other).sum(-1) - means).mean())

    def slope(one: Logits) -> float:
        right = one.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        return float(((shares * one).sum(-1) - right).mean())

    loss = float(surprise(logits, tokens).mean())
    bends = product(kept, kept), product(kept, removed), product(removed, removed)
    return Quadratic(loss, slope(kept), slope(removed), *bends)
