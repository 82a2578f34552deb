"""Values in mergekit's recipes: numbers, gradients over layers, and values by filter.

Knows mergekit's rules for a value and the names of tensors, not its methods and no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dppa_core.errors import InvalidRecipe, NoCounterpart, shown
from dppa_core.parameters import is_number
from dppa_core.pruning.module_groups import layer_count, layer_of

_INSIDE = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
    "input_layernorm",
    "post_attention_layernorm",
)

Setting = float | Mapping[str, float]
"""A number, or tensor -> number."""


def llama_names(layers: int) -> tuple[str, ...]:
    """What the tensors of a Llama are called."""
    inside = (f"model.layers.{layer}.{part}.weight" for layer in range(layers) for part in _INSIDE)
    return ("model.embed_tokens.weight", *inside, "model.norm.weight", "lm_head.weight")


def read_setting(
    value: Any, where: str, names: Sequence[str], fallbacks: Sequence[Any] = ()
) -> Setting:
    """A value of a recipe as one number, or as one for each tensor.

    Args:
        value: A number, a list of numbers (a gradient), or a list of {filter, value}.
        where: How to call it in messages.
        names: Of all tensors of the base; empty where they are not known.
        fallbacks: Further values; each is for tensors that no filter of those before meets.

    Raises:
        InvalidRecipe: no value at all.
        NoCounterpart: it differs between tensors, and those of the base are not known.
    """
    values = (value, *fallbacks)
    for given in values:
        _check(given, where)
    # A value that meets even a tensor without a name meets all: what comes after is never asked.
    last = next((v for v in values if _evaluate(v, "", 0.0) is not None), values[-1])
    values = values[: values.index(last) + 1]
    layers = layer_count(names)
    tried = names or llama_names(1)
    found = {name: _first(values, name, _place(name, layers)) for name in tried}
    if None in found.values():
        name = next(name for name, number in found.items() if number is None)
        raise InvalidRecipe(
            f"{where} has no value for {name}: none of its filters meets that name."
        )
    numbers = {name: number for name, number in found.items() if number is not None}
    if not names and (any(map(_has_gradient, values)) or len(set(numbers.values())) > 1):
        raise NoCounterpart(
            f"{where} is not the same for all tensors, and which tensors the base has is not known "
            "here. Say how many layers it has with --layers if it is a Llama, or have it where it "
            "can be read."
        )
    return numbers if len(set(numbers.values())) > 1 else next(iter(numbers.values()))


def _place(name: str, layers: int) -> float:
    """Where a gradient is read: from 0, the first layer, to 1, the last.

    What is in no layer, the head too, is read at 0: so mergekit's plan has it.
    """
    layer = layer_of(name)
    if layer is None:
        return 0.0
    return layer / (layers - 1) if layers > 1 else 1.0


def _check(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        value = [value]
    if is_number(value) or isinstance(value, bool):
        return
    if isinstance(value, list) and value:
        if all(is_number(item) for item in value):
            return
        if all(isinstance(item, Mapping) and "value" in item for item in value):
            for item in value:
                _check(item["value"], where)
            return
    raise InvalidRecipe(
        f"{where} must be a number, a list of numbers, or a list of {{filter: TEXT, value: …}}, "
        f"got {shown(value)}."
    )


def _has_gradient(value: Any) -> bool:
    if isinstance(value, Mapping):
        return _has_gradient(value["value"])
    if not isinstance(value, list):
        return False
    if isinstance(value[0], Mapping):
        return any(_has_gradient(item["value"]) for item in value)
    return len(set(value)) > 1


def _first(values: Sequence[Any], name: str, place: float) -> float | None:
    """The value of one tensor: the first that has one for it, as in mergekit."""
    found = (_evaluate(value, name, place) for value in values)
    return next((number for number in found if number is not None), None)


def _evaluate(value: Any, name: str, place: float) -> float | None:
    """The value of one tensor at a place from 0 (first layer) to 1 (last)."""
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        return float(value)
    if not isinstance(value[0], Mapping):
        scaled = place * (len(value) - 1)
        left = int(scaled)
        right, part = min(left + 1, len(value) - 1), scaled - left
        return float((1 - part) * value[left] + part * value[right])
    for item in value:
        wanted = item.get("filter")
        if wanted in (None, "*") or str(wanted) in name:
            return _evaluate(item["value"], name, place)
    return None
