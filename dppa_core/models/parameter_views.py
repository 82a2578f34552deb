"""Where the tensors of a checkpoint lie in the memory of a model that was made of them.

Families rename, stack and join tensors on their way into memory: the tensors that transformers
would save, and their names, show where each one went.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.nn import Parameter

from dppa_core.pruning.tensor_names import match_names


def find_places(model: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Views of the model's parameters: writing to one changes the model.

    Tensors that share memory, as an embedding and its tied head, are both included.

    Args:
        model: A transformers model.
        shapes: Name in the checkpoint -> shape, of the tensors to find.

    Returns:
        Name in the checkpoint -> its place. Tensors without one are left out: their elements are
        scattered, or computed while loading.
    """
    kept = {name: value.detach() for name, value in model.state_dict(keep_vars=True).items()}
    owners = {value.untyped_storage().data_ptr() for value in kept.values()}
    found, used = {}, set()
    for name, value in _as_saved(model, kept).items():
        pointer = value.untyped_storage().data_ptr()
        if pointer in owners:
            used.add(pointer)
            found[name] = value
    for value, name in _rest(kept, used):
        found |= _inside(model, name, value)
    pairs = match_names(shapes, found)  # without the prefix, if the checkpoint has none
    return {
        name: found[place] for name, place in pairs.items() if found[place].shape == shapes[name]
    }


def owner_of(place: torch.Tensor, parameters: Iterable[Parameter]) -> Parameter | None:
    """The parameter in whose memory a place begins, or None. Parameters may share storage."""
    start = place.data_ptr()
    for parameter in parameters:
        first = parameter.data_ptr()
        if first <= start < first + parameter.numel() * parameter.element_size():
            return parameter
    return None


def _as_saved(model: Any, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors named and cut as `save_pretrained` does."""
    from transformers.core_model_loading import revert_weight_conversion  # noqa: PLC0415  (heavy)

    return dict(revert_weight_conversion(model, dict(tensors)))


def _rest(kept: Mapping[str, torch.Tensor], used: set[int]) -> Iterator[tuple[torch.Tensor, str]]:
    """Parameters without a match: transformers saves copies of them."""
    for name, value in kept.items():
        if value.untyped_storage().data_ptr() not in used and value.is_contiguous():
            yield value, name


def _inside(model: Any, name: str, parameter: torch.Tensor) -> dict[str, torch.Tensor]:
    """Places inside one parameter, found from the numbers of its elements."""
    numbers = torch.arange(parameter.numel()).reshape(parameter.shape)
    found = {}
    for saved, moved in _as_saved(model, {name: numbers}).items():
        view = _regular(numbers, moved)
        if view is not None:
            offset, strides = view
            start = parameter.storage_offset() + offset
            found[saved] = parameter.as_strided(moved.shape, strides, start)
    return found


def _regular(numbers: torch.Tensor, moved: torch.Tensor) -> tuple[int, tuple[int, ...]] | None:
    """Offset and strides that make `moved` of `numbers`; None if there are none."""
    if not moved.numel():
        return None
    origin = int(moved.reshape(-1)[0])
    ends = (moved.select(axis, 1) if size > 1 else moved for axis, size in enumerate(moved.shape))
    strides = tuple(abs(int(end.reshape(-1)[0]) - origin) for end in ends)
    reach = origin + sum(s * (n - 1) for s, n in zip(strides, moved.shape, strict=True))
    if reach >= numbers.numel() or not torch.equal(
        numbers.as_strided(moved.shape, strides, origin), moved
    ):
        return None
    return origin, strides
