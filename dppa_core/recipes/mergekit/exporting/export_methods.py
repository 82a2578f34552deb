"""Our methods in mergekit's terms, with the differences, or the reason why it has none."""

from __future__ import annotations

from collections.abc import Collection

from dppa_core.errors import NoCounterpart
from dppa_core.methods.registry import get_method
from dppa_core.recipes.mergekit.exporting.export_pruned import PRUNED, UNSCALED, staged
from dppa_core.recipes.mergekit.exporting.export_turned import TURNED
from dppa_core.recipes.mergekit.exporting.method_in_mergekit import Exporters, MethodInMergekit
from dppa_core.recipes.mergekit.exporting.weights import Blocks, check_factors
from dppa_core.recipes.yaml_text import MergeRecipe

_METHODS: Exporters = {**PRUNED, **TURNED}


def in_mergekit(recipe: MergeRecipe, names: Collection[str]) -> MethodInMergekit:
    """A recipe in mergekit's terms.

    Args:
        names: Tensors of the base; needed if coefficients differ by layer.
    """
    blocks = Blocks.among(names)
    if recipe.prune is not None:
        return staged(recipe, blocks)
    if recipe.method in _METHODS:
        if recipe.method not in UNSCALED:
            check_factors(recipe)
        return _METHODS[recipe.method](recipe, blocks)
    raise NoCounterpart(
        f"mergekit has no {get_method(recipe.method).title}. Merge it here, and use the merged "
        "folder as a model there."
    )
