"""A checkpoint's tensors in torch: as a state to load, and where they lie in a loaded model.

Families rename, stack and join tensors on their way into memory: the tensors that transformers
would save, and their names, show where each one went.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from dppa_core.checkpoints.matching import check_finite
from dppa_core.errors import NonFiniteWeights
from dppa_core.models.plain import PlainModel
from dppa_core.pruning.floats import FLOATS
from dppa_core.pruning.tensor_names import is_buffer, match_names

_TORCH_DTYPES = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
}
"""Dtypes of floats that are loaded."""


def weighs(name: str, code: str, shape: tuple[int, ...]) -> bool:
    """Return True for a stored tensor that is loaded: every float that is no stored buffer."""
    return code in _TORCH_DTYPES and not is_buffer(name, shape)


def state_of(tensors: Mapping[str, Any], dtype: torch.dtype, label: str) -> dict[str, torch.Tensor]:
    """The loaded tensors, in the model's dtype."""
    state = {}
    for name, (code, shape, raw) in tensors.items():
        if not weighs(name, code, shape):
            continue
        values = to_torch(code, shape, raw).to(dtype)
        if not bool(torch.isfinite(values).all()):
            if code in FLOATS:
                check_finite(raw, code, name, label)
            raise NonFiniteWeights(f"{label}: {name} holds values that {dtype} cannot hold.")
        state[name] = values
    return state


def to_torch(code: str, shape: tuple[int, ...], raw: Any) -> torch.Tensor:
    """A stored float tensor as a torch copy; `raw` is flat, as `Checkpoint.raw` gives it."""
    values = raw.view("int16" if code == "BF16" else raw.dtype)  # a view reads what is lazy
    return torch.tensor(values).view(_TORCH_DTYPES[code]).reshape(shape)


def find_places(model: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
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
    views, used = {}, set()
    for name, value in _as_saved(model, kept).items():
        pointer = value.untyped_storage().data_ptr()
        if pointer in owners:
            used.add(pointer)
            views[name] = value
    for value, name in _rest(kept, used):
        views |= _inside(model, name, value)
    pairs = match_names(shapes, views)  # without the prefix, if the checkpoint has none
    return {
        name: views[place] for name, place in pairs.items() if views[place].shape == shapes[name]
    }


def owner_of(place: Tensor, parameters: Iterable[Parameter]) -> Parameter | None:
    """The parameter in whose memory a place begins, or None. Parameters may share storage."""
    start = place.data_ptr()
    for parameter in parameters:
        first = parameter.data_ptr()
        if first <= start < first + parameter.numel() * parameter.element_size():
            return parameter
    return None


def copy_model(model: Any, views: Mapping[str, Tensor]) -> tuple[Any, dict[str, Tensor]]:
    """A copy of a model, and of views of its parameters; configuration and buffers are shared.

    Parameters and views share memory as the model's do. It takes a twentieth of the time to build
    a model.
    """
    memory = {value.untyped_storage().data_ptr(): value for value in model.parameters()}
    copies = {place: value.untyped_storage().clone() for place, value in memory.items()}

    def moved(old: Tensor) -> Tensor:
        new = torch.empty(0, dtype=old.dtype)
        storage = copies[old.untyped_storage().data_ptr()]
        return new.set_(storage, old.storage_offset(), old.shape, old.stride())

    owned = {old: Parameter(moved(old), old.requires_grad) for old in model.parameters()}
    return _with_parameters(model, owned), {name: moved(view) for name, view in views.items()}


def _with_parameters(module: Any, owned: Mapping[Parameter, Parameter]) -> Any:
    new = copy(module)
    new._parameters = {n: p if p is None else owned[p] for n, p in new._parameters.items()}
    new._modules = {n: part and _with_parameters(part, owned) for n, part in new._modules.items()}
    return new


def fuse_weights(model: Any) -> None:
    """Lay the weights that read the same input side by side; the model keeps views of them.

    Args:
        model: One that `own_step` knows.
    """
    for layer in model.model.layers:
        for group in fused_groups(layer):
            whole = torch.cat([part.detach() for part in group])
            first = 0
            for part in group:
                part.data = whole[first : first + len(part)]
                first += len(part)


def fused_groups(layer: Any) -> list[list[Tensor]]:
    """Queries, keys and values of a layer; gate and up; the biases of the first, if it has any."""
    attention, mlp = layer.self_attn, layer.mlp
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    groups = [[linear.weight for linear in projections], [mlp.gate_proj.weight, mlp.up_proj.weight]]
    if projections[0].bias is not None:
        groups.append([linear.bias for linear in projections])
    return groups


def side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """The tensor whose rows are `parts`, without a copy if they lie side by side."""
    first = parts[0].detach()
    follows, rows = first.storage_offset(), 0
    together = True
    for part in parts:
        together &= part.is_contiguous() and part.storage_offset() == follows
        together &= part.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        follows, rows = follows + part.numel(), rows + len(part)
    if not together:
        return torch.cat([part.detach() for part in parts])
    return first.as_strided((rows, *first.shape[1:]), first.stride())


def _as_saved(model: Any, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors named and cut as `save_pretrained` does."""
    if isinstance(model, PlainModel):
        return dict(tensors)
    from transformers.core_model_loading import revert_weight_conversion  # noqa: PLC0415  (heavy)

    return dict(revert_weight_conversion(model, dict(tensors)))


def _rest(kept: Mapping[str, Tensor], used: set[int]) -> Iterator[tuple[Tensor, str]]:
    """Parameters without a match: transformers saves copies of them."""
    for name, value in kept.items():
        if value.untyped_storage().data_ptr() not in used and value.is_contiguous():
            yield value, name


def _inside(model: Any, name: str, parameter: Tensor) -> dict[str, Tensor]:
    """Places inside one parameter, found from the numbers of its elements."""
    numbers = torch.arange(parameter.numel()).reshape(parameter.shape)
    views = {}
    for saved, moved in _as_saved(model, {name: numbers}).items():
        view = _regular(numbers, moved)
        if view is not None:
            offset, strides = view
            start = parameter.storage_offset() + offset
            views[saved] = parameter.as_strided(moved.shape, strides, start)
    return views


def _regular(numbers: Tensor, moved: Tensor) -> tuple[int, tuple[int, ...]] | None:
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


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """Weights of one layer; the fused ones are views of the model's parameters."""

    before_attention: Tensor
    qkv: Tensor
    """(queries + 2 x key-value heads) x head size rows."""
    qkv_bias: Tensor | None
    norms: tuple[Tensor, Tensor] | None
    """Norms of every head of queries and of keys (Qwen3)."""
    out: Tensor
    """Transposed: (heads x head size, hidden)."""
    before_mlp: Tensor
    gate_up: Tensor
    down: Tensor
    """Transposed: (inner, hidden)."""


def layer_of(layer: Any) -> LayerWeights:
    """The weights of a layer, after `fuse_weights`."""
    attention, groups = layer.self_attn, fused_groups(layer)
    normed = getattr(attention, "q_norm", None) is not None
    return LayerWeights(
        layer.input_layernorm.weight.detach(),
        side_by_side(groups[0]),
        side_by_side(groups[2]) if len(groups) > 2 else None,
        (attention.q_norm.weight.detach(), attention.k_norm.weight.detach()) if normed else None,
        attention.o_proj.weight.detach().t(),
        layer.post_attention_layernorm.weight.detach(),
        side_by_side(groups[1]),
        layer.mlp.down_proj.weight.detach().t(),
    )


def by_rows(layer: LayerWeights) -> tuple[Tensor | None, ...]:
    """The weights of a layer in the order of the compiled step, a row for each output."""
    norms = layer.norms or (None, None)
    attention = layer.before_attention, layer.qkv, layer.qkv_bias, *norms, layer.out.t()
    return (*attention, layer.before_mlp, layer.gate_up, layer.down.t())
