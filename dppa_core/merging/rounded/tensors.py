"""One tensor of the base and of all models, in the dtype in which it is merged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class RoundedTensors:
    """What a method merges: whole tensors of one dtype."""

    base: Tensor
    models: tuple[Tensor, ...]
    coefficients: tuple[float, ...]
    """Of each model at this tensor."""
    settings: tuple[Any, ...]
    """The method's parameters for each model, with its own values."""
    uniform: Callable[[int], Tensor]
    """Index of a model -> a draw in [0, 1) for each of its elements, in float64."""

    def deltas(self) -> list[Tensor]:
        """Each model's difference from the base."""
        return [model - self.base for model in self.models]

    def weights(self, like: Tensor, values: Sequence[float] | None = None) -> Tensor:
        """The coefficients, or other values of the models, shaped for stacked tensors."""
        numbers = torch.tensor(self.coefficients if values is None else values, dtype=like.dtype)
        return numbers.reshape(-1, *(1,) * (like.dim() - 1))

    def ends(self) -> tuple[Tensor, Tensor, float]:
        """The first and the second model, and the coefficient of the second; the base is the first
        of a single one."""
        first = self.models[0] if len(self.models) > 1 else self.base
        return first, self.models[-1], self.coefficients[-1]
