"""Our merging coefficients as mergekit's weights, by layer where they differ.

Knows mergekit's values, not its methods; opens no model.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from dppa_core.errors import NoCounterpart
from dppa_core.modules import blocks_word, layer_count
from dppa_core.recipe import DomainModel, MergeRecipe


@dataclass(frozen=True, slots=True)
class Blocks:
    """The transformer blocks of the base, as far as mergekit must be told of them."""

    layers: int
    word: str
    """A filter that meets the tensors inside blocks, and no others."""

    @staticmethod
    def among(tensors: Collection[str]) -> Blocks | None:
        """Those of a model with these tensors; None where they cannot be told from the rest."""
        word = blocks_word(tensors)
        return None if word is None else Blocks(layer_count(tensors), word)


def plain(number: float) -> float:
    """Without the last digits, which are rounding errors: 0.1, not 0.09999999999999998."""
    return float(f"{number:.12g}")


def weight_of(model: DomainModel, blocks: Blocks | None, times: float = 1.0) -> Any:
    """A coefficient as mergekit's weight; by layer it is a gradient with a stop at every layer."""
    if isinstance(model.coefficient, float):
        return plain(model.coefficient * times)
    if blocks is None:
        raise NoCounterpart(
            f"model {model.model!r}: its coefficients differ by layer, and which tensors of the "
            "base are in which layer is not known here. Have the base where it can be read."
        )
    found = [model.coefficient_at(layer, blocks.layers) for layer in range(blocks.layers)]
    outside = plain(model.coefficient_at(None, blocks.layers) * times)
    inside = [plain(one * times) for one in found]
    return [{"filter": blocks.word, "value": inside}, {"value": outside}]


def weights_of(
    recipe: MergeRecipe, blocks: Blocks | None, times: float = 1.0
) -> list[dict[str, Any]]:
    """The parameters of all models: their weights."""
    return [{"weight": weight_of(model, blocks, times)} for model in recipe.models]


def check_factors(recipe: MergeRecipe) -> None:
    """Amplification of whole deltas is of modules alone, which mergekit cannot say."""
    for model in recipe.models:
        if set(model.amplification) != {1.0}:
            raise NoCounterpart(
                f"model {model.model!r}: an amplification of {model.amplification[0]:g} is of the "
                "modules alone; mergekit's weight is of all tensors. Use the coefficient."
            )


def same_coefficient(recipe: MergeRecipe) -> float | None:
    """The coefficient all models share, or None."""
    found = {m.coefficient if isinstance(m.coefficient, float) else None for m in recipe.models}
    return found.pop() if len(found) == 1 else None


def coefficient_sums(recipe: MergeRecipe, blocks: Blocks | None) -> tuple[float, ...]:
    """The sum of all coefficients; where they differ by layer outside the layers, then in each."""
    if blocks is None or all(isinstance(model.coefficient, float) for model in recipe.models):
        return (sum(model.coefficient_at(None, 1) for model in recipe.models),)
    places = (None, *range(blocks.layers))
    return tuple(sum(m.coefficient_at(p, blocks.layers) for m in recipe.models) for p in places)
