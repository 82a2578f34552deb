"""Values in mergekit's recipes: numbers, gradients over layers, and values by filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dppa_core.errors import InvalidRecipe, NoCounterpart, shown
from dppa_core.parameter_fields import is_number
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
            return value
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
        names: Names of all tensors of the base; empty if unknown: then a Llama's.
        fallbacks: Further values, each for tensors that match no earlier filter.

    Raises:
        InvalidRecipe: not a value.
        NoCounterpart: it differs between layers, and their number is unknown.
    """
    values = (value, *fallbacks)
    for candidate in values:
        _check(candidate, place)
    # A value that matches an empty name matches all: later ones are never used.
    last = next((v for v in values if _evaluate(v, "", 0.0) is not None), values[-1])
    values = values[: values.index(last) + 1]
    layers = layer_count(names)
    tried = names or llama_names(2)  # filters alone say the same of any number of layers
    results = {name: _first(values, name, _place(name, layers)) for name in tried}
    if None in results.values():
        name = next(name for name, number in results.items() if number is None)
        raise InvalidRecipe(
            f"{place} has no value for {name}: none of its filters meets that name."
        )
    numbers = {name: number for name, number in results.items() if number is not None}
    if not names and any(map(_has_gradient, values)):
        raise NoCounterpart(
            f"{place} differs between layers, and their number is unknown here. Give it with "
            "--layers if the base is a Llama, or make one of the models readable."
        )
    return numbers if len(set(numbers.values())) > 1 else next(iter(numbers.values()))


def _place(name: str, layers: int) -> float:
    """Position in a gradient: 0 (first layer; outside the layers, as in mergekit) to 1 (last)."""
    layer = layer_of(name)
    if layer is None:
        return 0.0
    return layer / (layers - 1) if layers > 1 else 1.0


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


def _has_gradient(value: Any) -> bool:
    if isinstance(value, Mapping):
        return _has_gradient(value["value"])
    if not isinstance(value, list):
        return False
    if isinstance(value[0], Mapping):
        return any(_has_gradient(item["value"]) for item in value)
    return len(set(value)) > 1


def _first(values: Sequence[Any], name: str, place: float) -> float | None:
    """The first value that applies to a tensor, as in mergekit."""
    results = (_evaluate(value, name, place) for value in values)
    return next((number for number in results if number is not None), None)


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
        text = item.get("filter")
        if text in (None, "*") or str(text) in name:
            return _evaluate(item["value"], name, place)
    return None
