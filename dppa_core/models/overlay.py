"""A second model over the memory of a first, with single tensors exchanged.

The first model never changes: others may compute with it meanwhile, and nothing must be restored.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

from torch import Tensor, nn

from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.models.parameter_views import find_places, owner_of


class Shell:
    """A copy of a model's structure that shares its parameters.

    Args:
        model: A transformers model in one piece, on any device.
        shapes: Name in the checkpoint -> shape, of the tensors that may be exchanged.

    Attributes:
        model: The model to compute with.
    """

    def __init__(self, model: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
        owned = chain(model.parameters(), model.buffers())
        self.model = copy.deepcopy(model, {id(tensor): tensor for tensor in owned})
        self._places = find_places(self.model, shapes)
        self._parameters: tuple[nn.Parameter, ...] = tuple(self.model.parameters())

    @contextmanager
    def holding(self, tensors: Mapping[str, Tensor]) -> Iterator[None]:
        """Compute with these tensors while the block runs; others are not copied.

        Args:
            tensors: Name in the checkpoint -> values, rounded to the parameter's dtype.

        Raises:
            IncompatibleCheckpoints: a tensor does not lie in memory in one piece.
        """
        fresh: dict[int, nn.Parameter] = {}
        for name, values in tensors.items():
            place = self._places.get(name)
            owner = None if place is None else owner_of(place, self._parameters)
            if place is None or owner is None:
                raise IncompatibleCheckpoints(
                    f"{name} does not lie in memory in one piece, so it cannot be exchanged "
                    "there. An architecture that computes its weights while loading is the usual "
                    "cause."
                )
            if id(owner) not in fresh:
                fresh[id(owner)] = nn.Parameter(owner.detach().clone(), requires_grad=False)
            offset = place.storage_offset() - owner.storage_offset()
            room = fresh[id(owner)].detach().as_strided(place.shape, place.stride(), offset)
            room.copy_(values.reshape(place.shape))
        held = [
            (module, key, parameter)
            for module in self.model.modules()
            for key, parameter in module._parameters.items()
            if id(parameter) in fresh
        ]
        try:
            for module, key, parameter in held:
                module._parameters[key] = fresh[id(parameter)]
            yield
        finally:
            for module, key, parameter in held:
                module._parameters[key] = parameter
