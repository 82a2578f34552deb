"""Converts our merging coefficients to mergekit's weights, by layer if they differ."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from dppa_core.errors import NoCounterpart, shown
from dppa_core.pruning.coefficients import (
    Coefficient,
    PartCoefficient,
    coefficient_from,
    coefficient_of,
    in_layer,
    parts_of,
)
from dppa_core.pruning.module_groups import blocks_word, layer_count, layer_of
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe


@dataclass(frozen=True, slots=True)
class Blocks:
    """The transformer blocks of the base that mergekit's values need."""

    layers: int
    word: str
    """A filter that matches exactly the tensors inside blocks."""
    names: tuple[str, ...]

    @staticmethod
    def among(tensors: Collection[str]) -> Blocks | None:
        """The blocks of a model with these tensors; None if no filter matches them alone."""
        word = blocks_word(tensors)
        return None if word is None else Blocks(layer_count(tensors), word, tuple(tensors))


def plain(number: float) -> float:
    """The number without rounding errors: 0.1, not 0.09999999999999998."""
    return float(f"{number:.12g}")


def weight_of(model: DomainModel, blocks: Blocks | None, times: float = 1.0) -> Any:
    """A coefficient as mergekit's weight: a number, a gradient over layers, or values by filter."""
    if isinstance(model.coefficient, float):
        return plain(model.coefficient * times)
    return _by_filter(model.coefficient, _need(model, blocks), times)


def own_values(
    recipe: MergeRecipe,
    blocks: Blocks | None,
    names: Sequence[str],
    compute: Callable[..., float] = float,
) -> list[Any]:
    """A number of mergekit's for each model, computed from parameters of ours."""
    usual, results = recipe.settings(), list[Any]()
    for model in recipe.models:
        values = [model.parameters.get(name, getattr(usual, name)) for name in names]
        if all(isinstance(value, float) for value in values):
            results.append(plain(compute(*values)))
            continue
        needed = _need(model, blocks)
        numbers = {
            tensor: plain(compute(*(coefficient_of(v, tensor, needed.layers) for v in values)))
            for tensor in needed.names
        }
        results.append(_by_filter(coefficient_from(numbers), needed, 1.0))
    return results


def _need(model: DomainModel, blocks: Blocks | None) -> Blocks:
    if blocks is None:
        raise NoCounterpart(
            f"model {model.model!r}: its coefficients or settings differ between tensors, and the "
            "layers of the base's tensors are unknown here. Make the base readable."
        )
    return blocks


def _by_filter(value: Coefficient, blocks: Blocks, times: float) -> Any:
    if isinstance(value, float):
        return plain(value * times)
    left, entries = blocks.names, list[dict[str, Any]]()
    for part in parts_of(value):
        entries += _entries(part, left, blocks, times)
        left = tuple(name for name in left if not part.meets(name))
    return entries


def _entries(
    part: PartCoefficient, left: Sequence[str], blocks: Blocks, times: float
) -> list[dict[str, Any]]:
    """One part as values by filter; `left` are the tensors that no earlier part matches."""
    met = {name for name in left if part.meets(name)}
    word = None if part.part is None else _filter(part.part, met, left)
    named = {} if word is None else {"filter": word}
    if isinstance(part.value, float):
        return [named | {"value": plain(part.value * times)}]
    inside = [
        plain(in_layer(part.value, layer, blocks.layers) * times) for layer in range(blocks.layers)
    ]
    outside = [name for name in met if layer_of(name) is None]
    if not outside or isinstance(part.value, tuple):
        return [named | {"value": inside}]
    if word is not None:
        raise NoCounterpart(
            f"the part {shown(part.part)} has coefficients by layer and tensors outside the "
            f"layers, such as {min(outside)}: give those a part of their own."
        )
    beside = coefficient_of((part,), outside[0], blocks.layers)
    return [{"filter": blocks.word, "value": inside}, {"value": plain(beside * times)}]


def _filter(part: str, met: Collection[str], left: Sequence[str]) -> str:
    """A text in the names of these tensors, and in no other name that is left."""
    for word in (part, f".{part}.", f"{part}.", f".{part}"):
        if {name for name in left if word in name} == met:
            return word
    raise NoCounterpart(
        f"the part {shown(part)}: mergekit's filters are texts, and none is in the names of its "
        "tensors alone."
    )


def weights_of(
    recipe: MergeRecipe, blocks: Blocks | None, times: float = 1.0
) -> list[dict[str, Any]]:
    """The parameters of all models: their weights."""
    return [{"weight": weight_of(model, blocks, times)} for model in recipe.models]


def check_factors(recipe: MergeRecipe) -> None:
    """Refuse an amplification of whole deltas: it applies to modules only, unlike mergekit's."""
    for model in recipe.models:
        if set(model.amplification) != {1.0}:
            raise NoCounterpart(
                f"model {model.model!r}: an amplification of {model.amplification[0]:g} is for "
                "modules only; mergekit's weight is for all tensors. Use the coefficient."
            )


def same_coefficient(recipe: MergeRecipe) -> float | None:
    """The coefficient all models share, or None."""
    numbers = {m.coefficient if isinstance(m.coefficient, float) else None for m in recipe.models}
    return numbers.pop() if len(numbers) == 1 else None


def coefficient_sums(recipe: MergeRecipe, blocks: Blocks | None) -> tuple[float, ...]:
    """The sum of all coefficients; one for each tensor if they differ."""
    coefficients = [model.coefficient for model in recipe.models]
    numbers = [number for number in coefficients if isinstance(number, float)]
    if blocks is None or len(numbers) == len(coefficients):
        return (sum(numbers),)
    return tuple(
        sum(coefficient_of(value, name, blocks.layers) for value in coefficients)
        for name in blocks.names
    )
