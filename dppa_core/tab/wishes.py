"""What a browser's tab is asked to answer with: `TabWish` in assets/types.d.ts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dppa_core.pruning.coefficients import Coefficient
from dppa_core.pruning.plan import PruningPlan
from dppa_core.recipes.recipe import DomainModel, MergeRecipe
from dppa_core.tab.files import BASE, MODELS
from dppa_core.tab.manifest import LAYERS

METHODS = ("dppa", "magnitude", "task_arithmetic", "dare")
SETTINGS = ("strength", "other_tensors")
"""Those of a method that a tab knows; of the others it knows the defaults."""
RANKING = ("dppa", "magnitude")
COUNTED = ("k_layer", "k_module", "scaling", "ties")
"""Of methods that rank, settings that change how many elements stay, not which are the first: with
them, or with overrides, a tab merges by kept counts that it asks a server for. A tab ranks by |d|
alone: merges by another significance it leaves to the server."""


def tab_wish(target: str | MergeRecipe) -> dict[str, Any] | None:
    """A model alone or a merge as the tab reads it; None if the tab does not know it."""
    if isinstance(target, str):
        return {"model": target} if target in (BASE, *MODELS) else None
    if not _is_known(target):
        return None
    settings = target.settings()
    merge = {
        "method": target.method,
        "strength": getattr(settings, "strength", 0),
        "others": getattr(settings, "other_tensors", "keep"),
        "models": [
            {
                "model": part.model,
                "levels": list(part.levels),
                "factors": list(part.amplification),
                "coefficients": _by_layer(part.coefficient),
            }
            for part in target.models
        ],
    }
    return {"merge": merge}


def is_counted(recipe: MergeRecipe) -> bool:
    """Whether the kept counts of a recipe are all that a tab lacks to merge its modules."""
    known = recipe.base == BASE and all(part.model in MODELS for part in recipe.models)
    return known and recipe.method in RANKING and recipe.significance == "magnitude"


def kept_counts(plan: PruningPlan) -> list[list[int]]:
    """The elements that each level keeps of every module, in the manifest's order."""
    return [[m.levels[k].kept for m in plan.modules] for k in range(len(plan.levels))]


def _is_known(recipe: MergeRecipe) -> bool:
    """Whether the recipe is equal to one that has nothing but what a tab knows."""
    plain = (
        DomainModel(part.model, part.levels, part.amplification, part.coefficient)
        for part in recipe.models
        if part.model in MODELS and not isinstance(part.coefficient, tuple)
    )
    models, values = tuple(plain), recipe.parameters
    settings = {key: values[key] for key in SETTINGS if key in values}
    prunes_all = recipe.method != "dare" and settings.get("other_tensors") == "prune"
    if recipe.method not in METHODS or len(models) < len(recipe.models) or prunes_all:
        return False
    return recipe == MergeRecipe(BASE, models, recipe.method, settings)


def _by_layer(coefficient: Coefficient) -> list[Any]:
    if isinstance(coefficient, Mapping):
        return [coefficient.get(layer, 1.0) for layer in range(LAYERS)]
    return [coefficient] * LAYERS
