"""A training step inside a merge: the delta at a random scale, with other models' deltas.

A merge scales a delta and adds the other models' deltas. A model trained without either loses
accuracy early in both.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

import torch
from transformers import LlamaForCausalLM

from dppa_lab.zoo.spec import Settling, Stage


@dataclass(frozen=True, slots=True)
class StepMixture:
    """Scales of the deltas in one step; 0 leaves a delta out."""

    scale: float
    """Of the model in training."""
    others: tuple[float, ...]


def draw_cast(stage: Stage, step: int, others: int) -> StepMixture:
    """The scales of one step; they depend only on the stage, its seed and the step."""
    rng = random.Random(f"{stage.name}/{stage.seed}/{step}/scale")
    company = stage.company if isinstance(stage, Settling) else 0.0
    scale = rng.uniform(*stage.scales)
    beside = (rng.uniform(*stage.scales) * (rng.random() < company) for _ in range(others))
    return StepMixture(scale, tuple(beside))


class Rehearsal:
    """Writes `base + s·d + Σ sⱼ·dⱼ` into a model for one step, then restores its own weights.

    Args:
        model: The model in training, base + d.
        base: The frozen base.
        others: The frozen domain models base + dⱼ whose deltas may be added.
    """

    def __init__(
        self,
        model: LlamaForCausalLM,
        base: LlamaForCausalLM,
        others: Sequence[LlamaForCausalLM] = (),
    ) -> None:
        self._weights = list(model.parameters())
        self._base = [weight.detach() for weight in base.parameters()]
        self._deltas = [
            [w.detach() - b for w, b in zip(sibling.parameters(), self._base, strict=True)]
            for sibling in others
        ]
        self.others = len(others)
        self.rest = deepcopy(base) if others else base
        """The same merge without the model in training: the reference of the pull loss."""

    @contextmanager
    def step(self, cast: StepMixture) -> Iterator[None]:
        """Inside, the model is the merge; afterwards, gradients are those of its own weights."""
        if self._deltas:
            self._set_rest(cast.others)
        if cast.scale == 1 and not any(cast.others):
            yield
            return
        whole = [weight.detach().clone() for weight in self._weights]
        with torch.no_grad():
            rest = self.rest.parameters()
            for weight, origin, beside in zip(self._weights, self._base, rest, strict=True):
                weight.copy_(beside + cast.scale * (weight - origin))
        yield
        with torch.no_grad():
            for weight, before in zip(self._weights, whole, strict=True):
                weight.copy_(before)
                if weight.grad is not None:
                    weight.grad.mul_(cast.scale)

    @torch.no_grad()
    def _set_rest(self, scales: Sequence[float]) -> None:
        for i, weight in enumerate(self.rest.parameters()):
            weight.copy_(self._base[i])
            for scale, delta in zip(scales, self._deltas, strict=True):
                if scale:
                    weight.add_(delta[i], alpha=scale)
