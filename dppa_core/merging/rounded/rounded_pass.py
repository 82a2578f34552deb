"""The pass of merges whose every operation is rounded: one whole tensor of all models at a time.

It is slow, and takes several copies of the largest tensor: it repeats a merge of another program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from dppa_core.errors import NonFiniteWeights
from dppa_core.merging.passes.chunk_pass import check_stack
from dppa_core.merging.passes.deltas import Raw, TensorStack
from dppa_core.merging.rounded import sums, turns
from dppa_core.merging.rounded.tensors import RoundedTensors
from dppa_core.methods.shared.stack import parameters_at
from dppa_core.pruning.floats import DTYPE_CODES, FLOATS
from dppa_core.pruning.tie_breaking import drop_seed, mix
from dppa_core.recipes.recipe import MergeRecipe

Step = Callable[[RoundedTensors, Any], Tensor]
STEPS: Mapping[str, Step] = {
    step.__name__: step
    for step in (
        *(sums.linear, sums.task_arithmetic, sums.ties, sums.dare_ties, sums.della),
        *(sums.della_linear, sums.breadcrumbs, sums.sce, turns.passthrough, turns.slerp),
        *(turns.nearswap, turns.arcee_fusion, turns.model_stock, turns.nuslerp),
        *(turns.multislerp, turns.karcher),
    )
}
"""Method -> its operations; these methods have `rounds`."""
_TORCH = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


class RoundedPass:
    """Merges tensors in the recipe's arithmetic. Safe for many threads."""

    def __init__(self, recipe: MergeRecipe) -> None:
        self._recipe = recipe
        self._dtype = _TORCH[DTYPE_CODES[recipe.arithmetic]]

    def blocks(self, stack: TensorStack) -> Iterator[tuple[int, Raw]]:
        """(0, merged elements) of the tensor.

        Raises:
            NonFiniteWeights: NaN or infinity on any side, or a number the dtype cannot hold.
        """
        merged = STEPS[self._recipe.method](
            self._tensors(stack), parameters_at(stack.own, self._recipe.settings())
        )
        merged = merged.to(self._dtype).to(_TORCH[stack.dtype])
        if not bool(torch.isfinite(merged).all()):
            self._raise(stack)
        bits = merged.contiguous().view(-1)
        if stack.dtype == "BF16":
            bits = bits.view(torch.int16)
        yield 0, bits.numpy().view(FLOATS[stack.dtype])

    def _raise(self, stack: TensorStack) -> NoReturn:
        check_stack(stack)
        raise NonFiniteWeights(
            f"{stack.name}: {self._recipe.arithmetic} cannot hold a number of this merge; mergekit "
            "would write NaN or infinity. `arithmetic: float32` in the recipe is a way out."
        )

    def _tensors(self, stack: TensorStack) -> RoundedTensors:
        settings, models = self._recipe.settings(), self._recipe.models
        own = stack.own or ({},) * len(models)
        base = self._tensor(stack.base, stack.base_dtype, stack.shape)
        pairs = [delta.pair if delta else None for delta in stack.deltas]
        tuned = [
            self._tensor(pair.finetuned, pair.finetuned_dtype, stack.shape) if pair else base
            for pair in pairs
        ]

        def uniform(model: int) -> Tensor:
            indices = np.arange(stack.base.size, dtype=np.uint64)
            seed = drop_seed(stack.name, models[model].model, self._recipe.seed)
            shares = (mix(indices, seed) >> np.uint64(11)) * 2.0**-53
            return torch.from_numpy(shares).reshape(stack.shape)

        at = tuple(replace(settings, **values) if values else settings for values in own)
        return RoundedTensors(base, tuple(tuned), stack.coefficients, at, uniform)

    def _tensor(self, raw: Raw, dtype: str, shape: tuple[int, ...]) -> Tensor:
        """Stored weights in the arithmetic's dtype, as a copy."""
        if dtype == "BF16":
            bits = torch.from_numpy(raw.view(np.int16).copy()).view(torch.bfloat16)
        else:
            bits = torch.from_numpy(raw.copy())
        return bits.reshape(shape).to(self._dtype)
