"""Values in mergekit's recipes: numbers, gradients over layers, and values by filter.

Knows mergekit's rules for a value, not its methods and no model: which tensors a filter meets is
tried on the names of a Llama.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dppa_core.errors import InvalidRecipe, NoCounterpart, shown
from dppa_core.parameters import is_number

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
_BEFORE, _AFTER = ("model.embed_tokens.weight",), ("model.norm.weight", "lm_head.weight")


@dataclass(frozen=True, slots=True)
class ByLayer:
    """A value that is not the same for all tensors."""

    inside: tuple[float, ...]
    """One for each layer."""
    before: float
    """Of the embeddings."""
    after: float
    """Of the last norm and the head."""


def read_setting(
    value: Any, where: str, layers: int | None, fallbacks: Sequence[Any] = ()
) -> float | ByLayer:
    """A value of a recipe as one number, or as one for each layer.

    Args:
        value: A number, a list of numbers (a gradient), or a list of {filter, value}.
        where: How to call it in messages.
        layers: Of the model, where they are known.
        fallbacks: Further values; each is for tensors that no filter of those before meets.

    Raises:
        InvalidRecipe: no value at all.
        NoCounterpart: it differs within a layer, or the number of layers is needed and unknown.
    """
    values = (value, *fallbacks)
    for given in values:
        _check(given, where)
    # A value that meets even a tensor without a name meets all: what comes after is never asked.
    last = next((v for v in values if _evaluate(v, "", 0.0) is not None), values[-1])
    values = values[: values.index(last) + 1]
    if layers is None and any(map(_has_gradient, values)):
        raise NoCounterpart(
            f"{where} is a gradient over layers, and how many there are is not known here. Say it "
            "with --layers, or have the base where it can be read."
        )
    count = 1 if layers is None else layers
    inside = tuple(_in_layer(values, where, layer, count) for layer in range(count))
    before, after = _among(values, where, _BEFORE, 0.0), _among(values, where, _AFTER, 1.0)
    if len({*inside, before, after}) == 1:
        return before
    if layers is None:
        raise NoCounterpart(
            f"{where} differs between the layers and the rest, and how many layers there are is "
            "not known here. Say it with --layers, or have the base where it can be read."
        )
    return ByLayer(inside, before, after)


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


def _in_layer(values: Sequence[Any], where: str, layer: int, layers: int) -> float:
    names = [f"model.layers.{layer}.{part}.weight" for part in _INSIDE]
    return _among(values, where, names, layer / (layers - 1) if layers > 1 else 1.0)


def _among(values: Sequence[Any], where: str, names: Sequence[str], place: float) -> float:
    """The one value that all these tensors have."""
    found = {name: _first(values, name, place) for name in names}
    if None in found.values():
        name = next(name for name, number in found.items() if number is None)
        raise InvalidRecipe(
            f"{where} has no value for {name}: none of its filters meets that name."
        )
    numbers = {number for number in found.values() if number is not None}
    if len(numbers) > 1:
        raise NoCounterpart(
            f"{where} differs within a layer, by a filter such as "
            f"{shown(_first_filter(values))}; here a coefficient is one number a layer."
        )
    return numbers.pop()


def _first_filter(values: Sequence[Any]) -> object:
    lists = [[value] if isinstance(value, Mapping) else value for value in values]
    items = [item for one in lists if isinstance(one, list) for item in one]
    found = (item.get("filter") for item in items if isinstance(item, Mapping))
    return next((name for name in found if name not in (None, "*")), "*")


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
