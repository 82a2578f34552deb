"""Recipes that name an earlier recipe's file as a model: the stages of a merge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dppa_core.checkpoints.sources.references import stacked_models
from dppa_core.errors import InvalidRecipe
from dppa_core.merging.inputs import pinned_recipe, references, renamed
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import MergeRecipe, load_recipe, recipe_hash

_MOST_STAGES = 100


def with_stages(
    recipe: MergeRecipe, *, above: tuple[Path, ...] = (), **settings: Any
) -> MergeRecipe:
    """The recipe with each model that is a recipe's file merged into a folder beside that file.

    The folder has the recipe's hash in its name, and the recipe the folders of its own stages, so a
    merge that is there is used again as long as no stage before it changes.

    Args:
        above: Files of the recipes that lead here.
        settings: Of `merge_to_folder`.

    Raises:
        InvalidRecipe: a file that is no recipe, or recipes that merge each other in a circle.
    """
    folders = {}
    for reference in stages_of(recipe):
        file, plus, adapter = reference.partition("+")
        folders[reference] = f"{_merged(Path(file), above, settings)}{plus}{adapter}"
    return renamed(recipe, folders)


def stages_of(recipe: MergeRecipe) -> list[str]:
    """The models that earlier recipes make, with or without an adapter on them."""
    models = (name for model in references(recipe) for name in stacked_models(model))
    endings = (".yaml", ".yml")
    return [n for n in dict.fromkeys(models) if n.partition("+")[0].lower().endswith(endings)]


def _merged(file: Path, above: tuple[Path, ...], settings: dict[str, Any]) -> Path:
    if file.resolve() in above or len(above) >= _MOST_STAGES:
        raise InvalidRecipe(f"{file}: this recipe merges its own result, by way of others.")
    stage = with_stages(load_recipe(file), above=(*above, file.resolve()), **settings)
    stage = pinned_recipe(stage, public=False)
    folder = file.with_name(f"{file.stem}-{recipe_hash(stage)}")
    if not folder.exists():
        merge_to_folder(stage, folder, **settings)
    return folder
