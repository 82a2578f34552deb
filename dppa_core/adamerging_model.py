"""A model in memory whose weights follow coefficients, and the gradient of those coefficients.

Knows parameters and treated deltas; no text and no objective. There is one model, and during a
backward pass the gradient of one tensor at a time: dL/dλ = <dL/dθ, D'> as soon as it is there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.adamerging_deltas import PreparedDeltas, weighted_sum
from dppa_core.checkpoint import Checkpoint
from dppa_core.chunks import CHUNK
from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.floats import to_float32
from dppa_core.modules import layer_count, layer_of
from dppa_core.names import match_names

Coefficients = Float64[ndarray, "K columns"]
"""One row a domain model; one column, or one for each block."""


class TunableModel:
    """Weights that are base + sum of coefficient x treated delta, for coefficients that change.

    Args:
        deltas: What coefficients multiply.
        model: Holds the base's weights now; theirs later.
        per_layer: Whether every block has coefficients of its own.

    Raises:
        IncompatibleCheckpoints: transformers keeps other tensors in memory than there are on disk.
    """

    def __init__(self, deltas: PreparedDeltas, model: Any, *, per_layer: bool) -> None:
        base = deltas.merger.base
        self._deltas = deltas
        self._parameters = bind_parameters(model, base, deltas.names)
        self._blocks = max(layer_count(base.names()), 1)
        self.columns = self._blocks if per_layer else 1

    def start(self, value: float) -> Coefficients:
        """Coefficients that are all the same."""
        coefficients: Coefficients = np.full((self._deltas.models, self.columns), value)
        return coefficients

    def write(self, coefficients: Coefficients, dtype: torch.dtype = torch.float32) -> None:
        """Give the model the weights of these coefficients.

        Args:
            coefficients: See `Coefficients`.
            dtype: What weights are rounded to on their way, as a recipe's merge rounds them.
        """
        for name, parameter in self._parameters.items():
            weights = self._shares(name) @ coefficients.T
            flat = parameter.detach().view(-1)
            for start, base, deltas in self._deltas.pieces(name):
                merged = torch.from_numpy(weighted_sum(base, deltas, weights.tolist()))
                flat[start : start + merged.numel()].copy_(merged.to(dtype))

    @contextmanager
    def gradient(self) -> Iterator[Coefficients]:
        """Where backward passes add the gradient of their loss by the coefficients.

        Inside of it every `backward()` adds to the array, and leaves no gradient of any weight.
        """
        found = self.start(0.0)
        names = {parameter: name for name, parameter in self._parameters.items()}

        def collect(parameter: torch.nn.Parameter) -> None:
            if parameter.grad is not None:
                found[...] += self._by_coefficients(names[parameter], parameter.grad)
                parameter.grad = None

        hooks = []
        for parameter in self._parameters.values():
            parameter.requires_grad_(True)
            hook = parameter.register_post_accumulate_grad_hook(collect)  # type: ignore[no-untyped-call]
            hooks.append(hook)
        try:
            yield found
        finally:
            for hook in hooks:
                hook.remove()
            for parameter in self._parameters.values():
                parameter.requires_grad_(False)
                parameter.grad = None

    def _by_coefficients(self, name: str, gradient: torch.Tensor) -> Coefficients:
        """<gradient, D'> of every model, at the columns this tensor hangs on."""
        flat = gradient.detach().reshape(-1)
        dots = np.zeros(self._deltas.models)
        for start, base, deltas in self._deltas.pieces(name):
            dots += deltas @ flat[start : start + base.size].float().numpy()
        found: Coefficients = np.outer(dots, self._shares(name))
        return found

    def _shares(self, name: str) -> Float64[ndarray, " columns"]:
        """How much each column is part of a tensor's coefficient; see `DomainModel`."""
        layer = layer_of(name)
        shares: Float64[ndarray, " columns"] = np.full(self.columns, 1 / self.columns)
        if layer is not None and self.columns > 1:
            shares[:] = np.arange(self.columns) == layer
        return shares


def bind_parameters(
    model: Any, base: Checkpoint, names: Collection[str]
) -> Mapping[str, torch.nn.Parameter]:
    """Tensor name on disk -> the parameter that holds it.

    Args:
        model: A transformers model with the weights of `base`.
        base: The checkpoint it was made of.
        names: Of the tensors whose parameters are wanted.

    Raises:
        IncompatibleCheckpoints: a tensor that is no parameter as it stands.
    """
    known = dict(model.named_parameters())
    places = match_names(names, known.keys())
    found = {name: known[places[name]] for name in names if name in places}
    for name in names:
        if name not in found or not _holds(found[name], base, name):
            raise IncompatibleCheckpoints(
                f"{name}: transformers keeps a model of the type {base.config.get('model_type')!r} "
                "in memory as other tensors than on disk, so that its coefficients cannot be "
                "tuned. Experts fused into one tensor are the usual cause."
            )
    model.requires_grad_(False)
    return found


def _holds(parameter: torch.nn.Parameter, base: Checkpoint, name: str) -> bool:
    if tuple(parameter.shape) != base.shape(name) or not parameter.is_contiguous():
        return False
    raw, flat = base.raw(name), parameter.detach().view(-1)
    for start in range(0, raw.size, CHUNK):
        part = torch.from_numpy(to_float32(raw[start : start + CHUNK], base.dtype(name)).copy())
        if not torch.equal(part.to(flat.dtype), flat[start : start + part.numel()]):
            return False
    return True
