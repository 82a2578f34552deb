"""A model in memory whose weights depend on coefficients, and the gradient by the coefficients.

A backward pass turns each tensor's gradient into dL/dλ = <dL/dθ, D'> as soon as it is computed,
and frees it: memory holds one model and the gradient of one tensor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.chunks import CHUNK
from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.models.parameter_views import find_places, owner_of
from dppa_core.pruning.floats import to_float32
from dppa_core.pruning.module_groups import layer_count, layer_of
from dppa_core.tuning.adamerging.deltas import PreparedDeltas, weighted_sum

Coefficients = Float64[ndarray, "K columns"]
"""One row per domain model; one column, or one per block."""


class TunableModel:
    """Weights that are base + sum of coefficient x treated delta, for changing coefficients.

    Args:
        deltas: Base and treated deltas.
        model: Holds the base's weights; `write` overwrites them.
        per_layer: Whether every block has its own coefficients.

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
        """Write the weights of these coefficients into the model.

        Args:
            coefficients: See `Coefficients`.
            dtype: Weights are rounded to it first, as in a recipe's merge.
        """
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
        found = self.start(0.0)
        held: dict[torch.nn.Parameter, list[str]] = {}
        for name, spot in self._spots.items():
            held.setdefault(spot.parameter, []).append(name)

        def collect(parameter: torch.nn.Parameter) -> None:
            if parameter.grad is not None:
                for name in held[parameter]:
                    part = self._spots[name].inside(parameter.grad)
                    found[...] += self._by_coefficients(name, part)
                parameter.grad = None

        hooks = []
        for parameter in held:
            parameter.requires_grad_(True)
            hook = parameter.register_post_accumulate_grad_hook(collect)  # type: ignore[no-untyped-call]
            hooks.append(hook)
        try:
            yield found
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
            dots += deltas @ flat[start : start + base.size].float().numpy()
        found: Coefficients = np.outer(dots, self._shares(name))
        return found

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
    """The parameter that contains it."""
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
        base: The checkpoint it was loaded from.
        names: Tensors to find.

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
        if not torch.equal(part.to(flat.dtype), flat[start : start + part.numel()]):
            return False
    return True
