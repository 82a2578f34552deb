"""The treated delta of every domain model, piece by piece.

Whole deltas are kept in memory only as far as the byte budget allows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from dppa_core.checkpoints.chunks import CHUNK, Loader, widen
from dppa_core.errors import InvalidRecipe
from dppa_core.merging.merger import open_merger
from dppa_core.merging.passes.chunk_pass import add_treated
from dppa_core.merging.passes.deltas import TensorStack
from dppa_core.methods.registry import get_method
from dppa_core.progress import Progress, Stop
from dppa_core.recipes.yaml_text import MergeRecipe

BYTE_BUDGET = 512 << 20
"""Default size of deltas kept in memory; others are computed again at every step."""
LEAST_VOTE = 0.001
"""Smallest coefficient for methods that elect signs: a model with coefficient 0 has no vote, and
one below 0 votes for the opposite sign."""


class PreparedDeltas:
    """Base and treated deltas of each tensor, readable repeatedly. Not thread-safe.

    Args:
        recipe: Defines the treatment of the deltas; its coefficients are ignored.
        byte_budget: Largest size of deltas kept in memory, in bytes.
        progress: Called while models are fetched and profiled.
        stop: Cancels fetching and profiling.

    Attributes:
        merger: The merger of the recipe with all coefficients 1.
        names: Names of all tensors that have a delta; a tied head counts as its embedding.
        least: The smallest coefficient for which the merge is this sum.

    Raises:
        CheckpointError: see `TensorMerger`.
    """

    def __init__(
        self,
        recipe: MergeRecipe,
        *,
        byte_budget: int = BYTE_BUDGET,
        progress: Progress | None = None,
        stop: Stop | None = None,
    ) -> None:
        models = tuple(replace(model, coefficient=1.0) for model in recipe.models)
        given = replace(recipe, models=models)
        self.merger = open_merger(given, often=True, progress=progress, stop=stop)
        combination = get_method(recipe.method).combination
        if combination is not None and not combination.adds(recipe.settings()):
            raise InvalidRecipe(f"method {recipe.method}: it is no sum of deltas.")
        self.models = len(models)
        self.least = -math.inf if combination is None else LEAST_VOTE
        self._loader: Loader = self.merger.loader()
        self.names = tuple(name for name in self.merger.names() if self._is_own(name))
        self._room = byte_budget
        self._kept: dict[str, Float32[ndarray, "K n"]] = {}

    def pieces(
        self, name: str
    ) -> Iterator[tuple[int, Float32[ndarray, " n"], Float32[ndarray, "K n"]]]:
        """Flat index, base and treated deltas of every piece of a tensor, in order.

        A piece is valid until the next one is requested.

        Raises:
            NonFiniteWeights: NaN or infinity in a weight, or a delta too large for float32.
        """
        stack = self._stack(name)
        numel, kept = stack.base.size, self._kept.get(name)
        if kept is None and 4 * self.models * numel <= self._room:
            self._room -= 4 * self.models * numel
            kept = self._kept[name] = self._whole(stack)
        if kept is None and self.merger.combined is not None:
            yield from self.merger.combined.parts(stack)
            return
        base = np.empty(min(CHUNK, numel), np.float32)
        for start in range(0, numel, CHUNK):
            stop = min(start + CHUNK, numel)
            part = base[: stop - start]
            widen(self._loader.kernels, stack.base[start:stop], stack.base_dtype, part)
            deltas = self._treated(stack, start, stop) if kept is None else kept[:, start:stop]
            yield start, part, deltas

    def _stack(self, name: str) -> TensorStack:
        stack = self.merger.stack(name, self._loader)
        if stack is None:
            raise KeyError(name)
        return stack

    def _is_own(self, name: str) -> bool:
        stack = self.merger.stack(name, self._loader)
        return stack is not None and stack.name == name

    def _whole(self, stack: TensorStack) -> Float32[ndarray, "K n"]:
        numel = stack.base.size
        if self.merger.combined is None:
            return self._treated(stack, 0, numel)
        deltas: Float32[ndarray, "K n"] = np.empty((self.models, numel), np.float32)
        for start, _, parts in self.merger.combined.parts(stack):
            deltas[:, start : start + parts.shape[1]] = parts
        return deltas

    def _treated(self, stack: TensorStack, start: int, stop: int) -> Float32[ndarray, "K n"]:
        deltas: Float32[ndarray, "K n"] = np.zeros((self.models, stop - start), np.float32)
        for index, delta in enumerate(stack.deltas):
            if delta is not None:
                add_treated(self._loader, stack, delta, start, deltas[index])
        return deltas


def weighted_sum(
    base: Float32[ndarray, " n"], deltas: Float32[ndarray, "K n"], coefficients: Sequence[float]
) -> Float32[ndarray, " n"]:
    """base + sum of coefficient x delta, in float32, in the order of the models."""
    total = base.copy()
    for coefficient, delta in zip(coefficients, deltas, strict=True):
        total += np.float32(coefficient) * delta
    return total
