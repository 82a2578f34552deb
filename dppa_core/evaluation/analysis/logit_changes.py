"""Changes of a domain model's logits along the parts of its delta, on right answers.

The parts are the bands that pruning keeps, the strongest first, and the removed rest. Changes are
differences, so that products with the Gauss-Newton matrix G of the loss need no matrix:
aᵀGb is the mean over tokens of the covariance, under the model's own distribution, of the changes
of the logits along a and along b.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
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
"""Share of a part by which weights move, either way, to find how logits change along it."""
MAX_WEIGHTS = 500_000_000
"""Base, parts and the model itself are in memory in float32."""
BATCH_TEXTS = 32
"""Most texts read at once."""

Logits = Float[Tensor, "tokens vocab"]
PerToken = Float[Tensor, " tokens"]


@dataclass(frozen=True, slots=True)
class LogitChanges:
    """A domain model on the right answers to some questions, and around it."""

    energies: tuple[float, ...]
    """Share of the sum of d² over the modules that each part holds, the removed one last."""
    shares: Logits
    """The model's own distribution."""
    tokens: Int[Tensor, " tokens"]
    questions: Int[Tensor, " tokens"]
    """The question that each token answers, in the order of reading."""
    losses: PerToken
    """Losses of the model itself, in nats."""
    along: tuple[Logits, ...]
    """Change of the logits along each part."""
    measured: tuple[PerToken, ...]
    """Losses with each setting: the bands times its factors, nothing of the removed part."""

    def product(self, first: int, second: int) -> PerToken:
        """aᵀGb of two parts at each token."""
        a, b = self.along[first], self.along[second]
        means = (self.shares * a).sum(-1) * (self.shares * b).sum(-1)
        return (self.shares * a * b).sum(-1) - means

    def slope(self, part: int) -> PerToken:
        """Change of the loss along a part at each token."""
        along = self.along[part]
        right = along.gather(-1, self.tokens.unsqueeze(-1)).squeeze(-1)
        return (self.shares * along).sum(-1) - right


def logit_changes(
    recipe: MergeRecipe,
    levels: Sequence[float],
    items: Sequence[Item],
    settings: Sequence[Sequence[float]],
    **control: Unpack[RunControl],
) -> LogitChanges:
    """Read the right answers to some questions at and around a domain model.

    Args:
        recipe: One domain model, pruned by a method that adds deltas; its factors are ignored.
        levels: The bands' pruning rates, the largest first.
        settings: Factors of the bands with which losses are measured.

    Raises:
        InvalidValue: not one domain model.
        OutOfBudget: a model of more than `MAX_WEIGHTS` weights.
    """
    resident, parts = _open(recipe, levels, **control)
    encoded, count = exchanges(resident, items), len(levels) + 1
    with threads_for(resident), torch.inference_mode():
        start, tokens, questions = _read(resident, encoded)

        def logits(factors: Sequence[float]) -> Logits:
            check(control.get("stop"))
            parts.write(factors)
            return _read(resident, encoded)[0]

        along = []
        for part in range(count):
            ends = (
                logits([1 + sign * STEP * (part == index) for index in range(count)])
                for sign in (1, -1)
            )
            along.append((next(ends) - next(ends)) / (2 * STEP))
        measured = tuple(surprise(logits([*factors, 0.0]), tokens) for factors in settings)
        of_model = start.softmax(-1), tokens, questions, surprise(start, tokens)
    return LogitChanges(parts.energies, *of_model, tuple(along), measured)


def _open(
    recipe: MergeRecipe, levels: Sequence[float], **control: Unpack[RunControl]
) -> tuple[Resident, _Parts]:
    """A domain model in memory, to be written to, and the parts of its delta."""
    if len(recipe.models) != 1:
        raise InvalidValue(f"It takes one domain model, got {len(recipe.models)}.")
    plain = DomainModel(recipe.models[0].model)
    whole = MergeRecipe(recipe.base, (plain,), "task_arithmetic", dtype="float32")
    merger = open_merger(whole, **control)
    numel = sum(spec.numel for spec in merger.plan.tensors.values())
    if numel > MAX_WEIGHTS:
        raise OutOfBudget(
            f"{plain.model}: its curvature takes {4 * (len(levels) + 3)} bytes for each of its "
            f"{numel:,} weights; at most {MAX_WEIGHTS:,} weights are allowed. A smaller model of "
            "the family is a way out."
        )
    resident = ModelPool().get(whole, **control)  # not shared, because it is written to
    resident = replace(resident, model=moved(resident.model, resident.nbytes))
    models = [replace(plain, levels=(rate,)) for rate in levels]
    nested = [open_merger(replace(recipe, models=(m,), dtype="float32")) for m in models]
    return resident, _Parts(nested, merger, resident)


class _Parts:
    """Base and parts of the delta of every pruned matrix, and its place in memory."""

    def __init__(
        self, nested: Sequence[TensorMerger], unpruned: TensorMerger, resident: Resident
    ) -> None:
        plan = nested[-1].plan
        shapes = {module.tensor: plan.tensors[module.tensor].shape for module in plan.modules}
        self._places = find_places(resident.model, shapes)
        self._parts = {}
        squares, total = [0.0] * (len(nested) + 1), 0.0
        for name in shapes:
            stored = unpruned.base
            base = torch.from_numpy(to_float32(stored.raw(name), stored.dtype(name)))
            # Deltas that hold more and more bands; the last one is whole.
            deltas = [torch.from_numpy(m.tensor(name)[2]) - base for m in (*nested, unpruned)]
            bands = [deltas[0], *(wide - narrow for narrow, wide in pairwise(deltas))]
            self._parts[name] = base, bands
            for index, band in enumerate(bands):
                squares[index] += float(band.double().square().sum())
            total += float(deltas[-1].double().square().sum())
        if not total:
            squares[0] = total = 1.0
        self.energies = tuple(square / total for square in squares)

    def write(self, factors: Sequence[float]) -> None:
        """Make the model the base plus every part times its factor."""
        for name, (base, bands) in self._parts.items():
            place, weights = self._places[name], base.clone()
            for factor, band in zip(factors, bands, strict=True):
                weights += factor * band
            place.copy_(weights.view(place.shape))


def _read(
    resident: Resident, encoded: Sequence[Exchange]
) -> tuple[Logits, Int[Tensor, " tokens"], Int[Tensor, " tokens"]]:
    groups = list(grouped(encoded, BATCH_TEXTS))
    parts = [reply_logits(resident.model, group) for group in groups]
    logits, tokens = zip(*parts, strict=True)
    lengths = torch.tensor([len(exchange.reply) for group in groups for exchange in group])
    questions = torch.arange(len(lengths)).repeat_interleave(lengths)
    return torch.cat(logits).cpu(), torch.cat(tokens).cpu(), questions
