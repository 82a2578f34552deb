"""Values in mergekit's recipes: numbers, gradients over layers, and values by filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dppa_core.errors import InvalidRecipe, shown
from dppa_core.parameter_fields import as_boolean, is_number
from dppa_core.pruning.coefficients import Gradient, in_layer
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

Leaf = float | Gradient
"""The value of one tensor: a number, or a gradient over layers whose number is unknown."""
Setting = float | Mapping[str, Leaf]
"""A number, or tensor -> value."""
Parameters = Mapping[str, Any]


_MOST_LAYERS = 1000


def llama_names(layers: int) -> tuple[str, ...]:
    """Names of the tensors of a Llama; none of one without layers, or with more than any has."""
    if not 0 < layers <= _MOST_LAYERS:
        return ()
    inside = (f"model.layers.{layer}.{part}.weight" for layer in range(layers) for part in _INSIDE)
    return ("model.embed_tokens.weight", *inside, "model.norm.weight", "lm_head.weight")


def plain_value(value: Any) -> Any:
    """A value with its numbers as numbers: mergekit also takes a text such as 1e-3 as one."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            boolean = as_boolean(value)
            return value if boolean is None else boolean
    if isinstance(value, Mapping):
        return {k: plain_value(v) if k == "value" else v for k, v in value.items()}
    return [plain_value(item) for item in value] if isinstance(value, list) else value


def checked_parameters(value: Any, place: str) -> Parameters:
    """The parameters of a part of a recipe, with numbers as numbers."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRecipe(f"{place}: parameters must be a mapping, got {shown(value)}.")
    return {str(key): plain_value(setting) for key, setting in value.items()}


def read_setting(
    value: Any, place: str, names: Sequence[str], fallbacks: Sequence[Any] = ()
) -> Setting:
    """A value of a recipe as one number, or one number per tensor.

    Args:
        value: A number, a list of numbers (a gradient), or a list of {filter, value}.
        names: Names of all tensors of the base; empty if unknown: then a Llama's, with gradients as
            they are.
        fallbacks: Further values, each for tensors that match no earlier filter.

    Raises:
        InvalidRecipe: not a value.
    """
    values = (value, *fallbacks)
    for candidate in values:
        _check(candidate, place)
    # A value that matches an empty name matches all: later ones are never used.
    last = next((v for v in values if _leaf(v, "") is not None), values[-1])
    values = values[: values.index(last) + 1]
    layers = layer_count(names)
    found = {name: _first(values, name) for name in names or llama_names(2)}
    if None in found.values():
        name = next(name for name, leaf in found.items() if leaf is None)
        raise InvalidRecipe(
            f"{place} has no value for {name}: none of its filters meets that name."
        )
    leaves: dict[str, Leaf] = {name: leaf for name, leaf in found.items() if leaf is not None}
    if names:
        leaves = {name: in_layer(leaf, layer_of(name), layers) for name, leaf in leaves.items()}
    first = next(iter(leaves.values()))
    return first if isinstance(first, float) and len(set(leaves.values())) == 1 else leaves


def _check(value: Any, place: str) -> None:
    if isinstance(value, Mapping):
        value = [value]
    if is_number(value) or isinstance(value, bool):
        return
    if isinstance(value, list) and value:
        if all(is_number(item) for item in value):
            return
        if all(isinstance(item, Mapping) and "value" in item for item in value):
            for item in value:
                _check(item["value"], place)
            return
    raise InvalidRecipe(
        f"{place} must be a number, a list of numbers, or a list of {{filter: TEXT, value: …}}, "
        f"got {shown(value)}."
    )


def _first(values: Sequence[Any], name: str) -> Leaf | None:
    """The first value that applies to a tensor, as in mergekit."""
    return next(filter(lambda leaf: leaf is not None, (_leaf(v, name) for v in values)), None)


def _leaf(value: Any, name: str) -> Leaf | None:
    """The number or gradient that a value has for one tensor."""
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        return float(value)
    if not isinstance(value[0], Mapping):
        numbers = tuple(map(float, value))
        return numbers if len(set(numbers)) > 1 else numbers[0]
    for item in value:
        text = item.get("filter")
        if text in (None, "*") or str(text) in name:
            return _leaf(item["value"], name)
    return None
