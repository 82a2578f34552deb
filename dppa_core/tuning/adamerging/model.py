"""A model in memory whose weights depend on coefficients, and the gradient by the coefficients.

A backward pass turns each tensor's gradient into dL/dλ = <dL/dθ, D'> as soon as it is computed,
and frees it: memory holds one model and the gradient of one tensor.

The model may lie on a GPU: forward and backward pass run there. Deltas stay in the processor's
memory, so each merge is computed there and copied to the GPU piece by piece, and each gradient is
copied back for the products.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
import torch
from jaxtyping import Float32, Float64
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.chunks import CHUNK, Loader, widen
from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.merging.merger import open_merger
from dppa_core.merging.passes.chunk_pass import add_treated
from dppa_core.merging.passes.deltas import TensorStack
from dppa_core.methods.registry import get_method
from dppa_core.models.parameter_views import find_places, owner_of
from dppa_core.progress import RunControl
from dppa_core.pruning.floats import to_float32
from dppa_core.pruning.module_groups import layer_count, layer_of
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.byte_sizes import memory_budget

_LEAST_BUDGET = 512 << 20
LEAST_VOTE = 0.001
"""Smallest coefficient for methods that elect signs: a model with coefficient 0 has no vote, and
one below 0 votes for the opposite sign."""


def delta_budget() -> int:
    """Half of what models may take (see `memory_budget`), at least 512 MiB."""
    return max(_LEAST_BUDGET, memory_budget() // 2)


class PreparedDeltas:
    """Base and treated deltas of each tensor, readable repeatedly. Not thread-safe.

    Args:
        recipe: Defines the treatment of the deltas; its coefficients are ignored.
        byte_budget: Largest size of deltas kept in memory, in bytes; others are computed again at
            every step. By default `delta_budget`.
        public: Strangers wrote the recipe.

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
        byte_budget: int | None = None,
        public: bool = False,
        **control: Unpack[RunControl],
    ) -> None:
        models = tuple(replace(model, coefficient=1.0) for model in recipe.models)
        whole = replace(recipe, models=models, arithmetic="float32")
        self.merger = open_merger(whole, often=True, public=public, **control)
        combination = get_method(recipe.method).combination
        self.models = len(models)
        self.least = -math.inf if combination is None else LEAST_VOTE
        self._loader: Loader = self.merger.loader()
        self.names = tuple(name for name in self.merger.names() if self._is_own(name))
        self._room = delta_budget() if byte_budget is None else byte_budget
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


Coefficients = Float64[ndarray, "K columns"]
"""One row per domain model; one column, or one per block."""


class TunableModel:
    """Weights that are base + sum of coefficient x treated delta, for changing coefficients.

    Args:
        model: Holds the base's weights; `write` overwrites them.
        per_layer: True if every block has its own coefficients.

    Raises:
        IncompatibleCheckpoints: a tensor is stored in another form in memory than on disk.
    """

    def __init__(self, deltas: PreparedDeltas, model: Any, *, per_layer: bool) -> None:
        base = deltas.merger.base
        self._deltas = deltas
        self._spots = find_spots(model, base, deltas.names)
        self._blocks = max(layer_count(base.names()), 1)
        self.columns = self._blocks if per_layer else 1
        self.least = deltas.least

    def start(self, value: float) -> Coefficients:
        """Coefficients that all have the same value."""
        coefficients: Coefficients = np.full((self._deltas.models, self.columns), value)
        return coefficients

    def write(self, coefficients: Coefficients, dtype: torch.dtype = torch.float32) -> None:
        """Write these coefficients' weights into the model, rounded to `dtype` as in a merge."""
        for name, spot in self._spots.items():
            weights = self._shares(name) @ coefficients.T
            flat = spot.view.view(-1)
            for start, base, deltas in self._deltas.pieces(name):
                merged = torch.from_numpy(weighted_sum(base, deltas, weights.tolist()))
                flat[start : start + merged.numel()].copy_(merged.to(dtype))

    @contextmanager
    def gradient(self) -> Iterator[Coefficients]:
        """An array that collects the gradient of the loss by the coefficients.

        Inside the context every `backward()` adds to it, and leaves no gradient of any weight.
        """
        total = self.start(0.0)
        held: dict[torch.nn.Parameter, list[str]] = {}
        for name, spot in self._spots.items():
            held.setdefault(spot.parameter, []).append(name)

        def collect(parameter: torch.nn.Parameter) -> None:
            if parameter.grad is not None:
                for name in held[parameter]:
                    part = self._spots[name].inside(parameter.grad)
                    total[...] += self._by_coefficients(name, part)
                parameter.grad = None

        hooks = []
        for parameter in held:
            parameter.requires_grad_(True)
            hook = parameter.register_post_accumulate_grad_hook(collect)  # type: ignore[no-untyped-call]
            hooks.append(hook)
        try:
            yield total
        finally:
            for hook in hooks:
                hook.remove()
            for parameter in held:
                parameter.requires_grad_(False)
                parameter.grad = None

    def _by_coefficients(self, name: str, gradient: torch.Tensor) -> Coefficients:
        """<gradient, D'> of every model, in the columns of this tensor's coefficients."""
        flat = gradient.detach().reshape(-1)
        dots = np.zeros(self._deltas.models)
        for start, base, deltas in self._deltas.pieces(name):
            dots += deltas @ flat[start : start + base.size].float().cpu().numpy()
        gradients: Coefficients = np.outer(dots, self._shares(name))
        return gradients

    def _shares(self, name: str) -> Float64[ndarray, " columns"]:
        """The share of each column in a tensor's coefficient; see `coefficient_of`."""
        layer = layer_of(name)
        shares: Float64[ndarray, " columns"] = np.full(self.columns, 1 / self.columns)
        if layer is not None and self.columns > 1:
            shares[:] = np.arange(self.columns) == layer
        return shares


@dataclass(frozen=True, slots=True, eq=False)
class TensorSpot:
    """The place of one tensor in memory."""

    parameter: torch.nn.Parameter
    view: torch.Tensor
    """View of the tensor's elements: contiguous, without gradient."""

    def inside(self, gradient: torch.Tensor) -> torch.Tensor:
        """The tensor's part of its parameter's gradient."""
        whole = gradient.contiguous()
        inside = self.view.storage_offset() - self.parameter.storage_offset()
        start = whole.storage_offset() + inside
        return whole.as_strided(self.view.shape, self.view.stride(), start)


def find_spots(model: Any, base: Checkpoint, names: Collection[str]) -> Mapping[str, TensorSpot]:
    """Tensor name on disk -> its place in a model; turns gradients of the model off.

    Args:
        model: A transformers model with the weights of `base`.

    Raises:
        IncompatibleCheckpoints: a tensor is stored in another form in memory than on disk.
    """
    model.requires_grad_(False)
    parameters = tuple(model.parameters())
    views = find_places(model, {name: base.shape(name) for name in names})
    spots = dict[str, TensorSpot]()
    for name in names:
        view = views.get(name)
        owner = None if view is None else owner_of(view, parameters)
        if view is None or owner is None or not _holds(view, base, name):
            raise IncompatibleCheckpoints(
                f"{name}: transformers keeps a model of the type {base.config.get('model_type')!r} "
                "in memory in another form than on disk, so that its coefficients cannot be "
                "tuned. Weights that are computed while they are loaded are the usual cause."
            )
        spots[name] = TensorSpot(owner, view)
    return spots


def _holds(view: torch.Tensor, base: Checkpoint, name: str) -> bool:
    if not view.is_contiguous():
        return False
    raw, flat = base.raw(name), view.view(-1)
    for start in range(0, raw.size, CHUNK):
        part = torch.from_numpy(to_float32(raw[start : start + CHUNK], base.dtype(name)).copy())
        if not torch.equal(part.to(flat.dtype), flat[start : start + part.numel()].cpu()):
            return False
    return True
