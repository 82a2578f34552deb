"""Merging coefficients: one per model, per layer, or per part of a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dppa_core.errors import IncompatibleCheckpoints, InvalidRecipe, InvalidValue, shown
from dppa_core.parameter_fields import check_keys, check_number
from dppa_core.pruning.module_groups import layer_count, layer_of

LARGEST_COEFFICIENT = 10.0
_MAX_PARTS, _MAX_CANDIDATES = 1000, 8

Gradient = tuple[float, ...]
"""Numbers from the first layer to the last, whatever their count; between two of them a line."""
Layered = float | Mapping[int, float]
"""A number, or layer -> number."""


@dataclass(frozen=True, slots=True)
class PartCoefficient:
    """The coefficient of some tensors."""

    part: str | None
    """Words of a dotted name, as "self_attn" or "mlp.down_proj"; None for all other tensors."""
    value: Layered | Gradient

    def meets(self, tensor: str) -> bool:
        """Return True if a tensor belongs to this part."""
        return self.part is None or f".{self.part}." in f".{tensor}."


Coefficient = Layered | tuple[PartCoefficient, ...]
"""The first part that contains a tensor counts; the last part contains all."""


def coefficient_of(coefficient: Coefficient, tensor: str, layers: int) -> float:
    """The coefficient of one tensor of a base with so many layers.

    With numbers by layer, a layer without one has 1.0, the default coefficient; tensors outside the
    blocks have the mean over all blocks; with a gradient they have its first number, as in
    mergekit.
    """
    parts = parts_of(coefficient)
    value = next(part.value for part in parts if part.meets(tensor))
    return in_layer(value, layer_of(tensor), layers)


def in_layer(value: Layered | Gradient, layer: int | None, layers: int) -> float:
    """The number of a part in one layer; None stands for a tensor outside the layers."""
    if isinstance(value, tuple):
        return number_along(value, layer, layers)
    if not isinstance(value, Mapping):
        return value
    if layer is not None:
        return value.get(layer, 1.0)
    named = {key: number for key, number in value.items() if key < max(layers, 1)}
    return (sum(named.values()) + max(layers, 1) - len(named)) / max(layers, 1)


def number_along(gradient: Sequence[float], layer: int | None, layers: int) -> float:
    """The number of a gradient in one layer, which may be the only one."""
    place = 0.0 if layer is None else layer / (layers - 1) if layers > 1 else 1.0
    scaled = place * (len(gradient) - 1)
    left = int(scaled)
    right, part = min(left + 1, len(gradient) - 1), scaled - left
    return float((1 - part) * gradient[left] + part * gradient[right])


def numbers_of(value: Layered | Gradient) -> tuple[float, ...]:
    """Every number that a part names."""
    if isinstance(value, Mapping):
        return tuple(value.values())
    return value if isinstance(value, tuple) else (value,)


def check_names(label: str, coefficient: Coefficient, tensors: Sequence[str]) -> None:
    """Check that a base with these tensors has all layers and parts of a coefficient.

    Raises:
        IncompatibleCheckpoints: a layer beyond the last, or a part that no tensor has.
    """
    layers = layer_count(tensors)
    for part in parts_of(coefficient):
        numbers = part.value if isinstance(part.value, Mapping) else {}
        beyond = [layer for layer in numbers if layer >= layers]
        if beyond:
            raise IncompatibleCheckpoints(
                f"{label}: a coefficient for layer {beyond[0]}, the base has layers 0 to "
                f"{layers - 1}. A recipe for another size of model is the usual cause."
            )
        if not any(map(part.meets, tensors)):
            raise IncompatibleCheckpoints(
                f"{label}: a coefficient for the part {shown(part.part)}, which no tensor of the "
                f"base has in its name. A name is, for example, {max(tensors, key=len)}."
            )


def parts_of(coefficient: Coefficient) -> tuple[PartCoefficient, ...]:
    """A coefficient as parts; one for all tensors if it has none."""
    return coefficient if isinstance(coefficient, tuple) else (PartCoefficient(None, coefficient),)


def checked_coefficient(label: str, value: Any) -> Coefficient:
    """Parse a coefficient of a recipe: a number, layer -> number, or a list of parts.

    Raises:
        InvalidRecipe: none of these, or a number outside [-10, 10].
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        return _layered(f"{label}: coefficient", value)
    if not value or len(value) > _MAX_PARTS:
        raise InvalidRecipe(
            f"{label}: coefficient must be a number, or list 1 to {_MAX_PARTS} parts."
        )
    parts = tuple(_part(f"{label}: coefficient {i}", item) for i, item in enumerate(value, 1))
    if [i for i, part in enumerate(parts, 1) if part.part is None] != [len(parts)]:
        raise InvalidRecipe(
            f"{label}: of the parts of a coefficient the last, and no other, is for all the rest: "
            "{value: NUMBER}, without `part`."
        )
    return parts


def _part(label: str, item: Any) -> PartCoefficient:
    if isinstance(item, PartCoefficient):
        item = _plain_part(item)
    if not isinstance(item, Mapping) or "value" not in item:
        raise InvalidRecipe(
            f"{label} must be {{part: NAME, value: NUMBER}}, got {shown(item)}; the value may be "
            "numbers by layer too."
        )
    check_keys(item, ("part", "value"), label)
    name = item.get("part")
    if name is not None and (not isinstance(name, str) or not name.strip(".") == name != ""):
        raise InvalidRecipe(
            f"{label}: a part is whole words of a tensor's name, as self_attn or mlp.down_proj, "
            f"got {shown(name)}."
        )
    value = item["value"]
    if isinstance(value, list | tuple) and value:
        return PartCoefficient(name, tuple(_number(label, number) for number in value))
    return PartCoefficient(name, _layered(label, value))


def _layered(label: str, value: Any) -> Layered:
    if not isinstance(value, Mapping):
        return _number(label, value)
    for layer in value:
        if isinstance(layer, bool) or not isinstance(layer, int) or layer < 0:
            raise InvalidRecipe(
                f"{label} maps layer indices to numbers, got the key {shown(layer)}; layers count "
                "from 0."
            )
    return {
        layer: _number(f"{label} of layer {layer}", number)
        for layer, number in sorted(value.items())
    }


def _number(label: str, value: Any) -> float:
    try:
        return check_number(label, value, -LARGEST_COEFFICIENT, LARGEST_COEFFICIENT)
    except InvalidValue as error:
        raise InvalidRecipe(str(error)) from error


def plain_coefficient(coefficient: Coefficient) -> Any:
    """A coefficient as in a recipe; the inverse of `checked_coefficient`."""
    if isinstance(coefficient, tuple):
        return [_plain_part(part) for part in coefficient]
    return dict(coefficient) if isinstance(coefficient, Mapping) else coefficient


def _plain_part(part: PartCoefficient) -> dict[str, Any]:
    name = {} if part.part is None else {"part": part.part}
    value = part.value
    return name | {"value": list(value) if isinstance(value, tuple) else plain_coefficient(value)}


def coefficient_from(numbers: Mapping[str, float | Gradient]) -> Coefficient:
    """A short coefficient that gives every tensor of a model its number, or its gradient.

    Raises:
        InvalidRecipe: gradients that differ between layers.
    """
    plain = {name: value for name, value in numbers.items() if isinstance(value, float)}
    if len(plain) == len(numbers):
        return _shortest_of(plain)
    every = list(dict.fromkeys(numbers.values()))
    found = _shortest_of({name: float(every.index(value)) for name, value in numbers.items()})
    parts = [(part.part, part.value) for part in parts_of(found)]
    if not all(isinstance(value, float) for _, value in parts):
        raise InvalidRecipe("A gradient over all layers cannot differ between them.")
    return tuple(
        PartCoefficient(name, every[int(value)])
        for name, value in parts
        if isinstance(value, float)
    )


def _shortest_of(numbers: Mapping[str, float]) -> Coefficient:
    candidates = (_with_rest(rest, numbers) for rest in _usual(numbers))
    return min(candidates, key=lambda parts: len(parts) if isinstance(parts, tuple) else 0)


def _with_rest(rest: Layered, numbers: Mapping[str, float]) -> Coefficient:
    """Parts for all tensors whose number differs from `rest`."""
    layers = layer_count(numbers)
    wrong = [name for name in numbers if coefficient_of(rest, name, layers) != numbers[name]]
    free, parts = dict(numbers), list[PartCoefficient]()
    while wrong:
        part = next(filter(None, (_exact(word, free, layers) for word in _words(wrong[0]))))
        parts.append(part)
        free = {name: number for name, number in free.items() if not part.meets(name)}
        wrong = [name for name in wrong if name in free]
    return (*parts, PartCoefficient(None, rest)) if parts else rest


def _usual(numbers: Mapping[str, float]) -> list[Layered]:
    """The most common numbers by layer, the most common first."""
    by_kind: dict[str, dict[int, float]] = {}
    for name, number in numbers.items():
        layer = layer_of(name)
        kind, layer = (name, 0) if layer is None else (name.split(f".{layer}.", 1)[1], layer)
        by_kind.setdefault(kind, {})[layer] = number
    counts = Counter(tuple(sorted(layered.items())) for layered in by_kind.values())
    return [_shortest(dict(layered)) for layered, _ in counts.most_common(_MAX_CANDIDATES)]


def _shortest(layered: Mapping[int, float]) -> Layered:
    first, *others = layered.values()
    return layered if set(others) - {first} else first


def _exact(word: str, numbers: Mapping[str, float], layers: int) -> PartCoefficient | None:
    """The part of that name, if one number per layer fits all its tensors."""
    met = [name for name in numbers if PartCoefficient(word, 0.0).meets(name)]
    inside = {layer_of(name) or 0: numbers[name] for name in met}
    part = PartCoefficient(word, _shortest(inside))
    exact = all(coefficient_of((part,), name, layers) == numbers[name] for name in met)
    return part if exact else None


def _words(name: str) -> Iterator[str]:
    """Possible names of a part with this tensor, the widest first, its full name last."""
    layer = layer_of(name)
    if layer is None:
        pieces = name.removesuffix(".weight").split(".")
        yield from (".".join(pieces[start:]) for start in range(len(pieces) - 1, -1, -1))
    else:
        blocks, _, inside = name.partition(f".{layer}.")
        yield blocks.rpartition(".")[2]  # as "layers": every tensor in a block
        pieces = inside.removesuffix(".weight").split(".")
        yield from (".".join(pieces[:end]) for end in range(1, len(pieces)))
        if len(pieces) > 2:  # as w2 of every expert
            yield pieces[-1]
        yield ".".join(pieces)
    yield name
