"""What goes into a merge: references fixed to commits, and all models in one vocabulary.

Knows recipes and checkpoints, not what is made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.sources.open import open_checkpoint, pinned
from dppa_core.checkpoints.vocabulary.alignment import Alignment, align
from dppa_core.methods.registry import get_method
from dppa_core.methods.shared.treatment import Request, Treatments
from dppa_core.methods.task_arithmetic import TaskArithmeticParameters, task_arithmetic
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe


def aligned(recipe: MergeRecipe, models: Sequence[Checkpoint]) -> Alignment:
    """Base and domain models in the vocabulary the recipe asks for."""
    names = [model.model for model in recipe.models]
    choice = recipe.vocabulary
    whose = choice if choice in ("base", "union") else names.index(choice)
    return align(models[0], models[1:], names, whose)


def merge_base(
    recipe: MergeRecipe, *, public: bool = False, stop: Stop | None = None
) -> Checkpoint:
    """The base of a merge, in the vocabulary of the merge."""
    recipe = pinned_recipe(recipe, public)
    names = (recipe.base, *(model.model for model in recipe.models))
    return aligned(recipe, [open_checkpoint(n, public=public, stop=stop) for n in names]).base


def pinned_recipe(recipe: MergeRecipe, public: bool) -> MergeRecipe:
    """The recipe with every model fixed to the commit it has now."""
    names = {m.model: pinned(m.model, public=public) for m in recipe.models}
    return replace(
        recipe,
        base=pinned(recipe.base, public=public),
        models=tuple(replace(model, model=names[model.model]) for model in recipe.models),
        parameters={**recipe.parameters, **_pinned_settings(recipe, names)},
        vocabulary=names.get(recipe.vocabulary, recipe.vocabulary),
        chat_template=names.get(recipe.chat_template, recipe.chat_template),
    )


def _pinned_settings(recipe: MergeRecipe, names: Mapping[str, str]) -> dict[str, str]:
    """The settings that name a model, with its new name."""
    named = [field.name for field in fields(recipe.settings()) if field.metadata.get("model")]
    given = {name: recipe.parameters[name] for name in named}
    return {name: names.get(reference, reference) for name, reference in given.items()}


def first_stage(recipe: MergeRecipe) -> tuple[Callable[[Request, Any], Treatments], Any, bool]:
    """What is done to single deltas, with which settings, and whether it wants their profiles."""
    if recipe.prune is not None:
        method, settings = get_method(recipe.prune.method), recipe.prune.settings()
    else:
        method, settings = get_method(recipe.method), recipe.settings()
    if method.treat is None:  # it combines the deltas as they are
        return task_arithmetic, TaskArithmeticParameters(), False
    return method.treat, settings, method.needs_profile
