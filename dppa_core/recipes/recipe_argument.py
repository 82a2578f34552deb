"""Recipes and models as callers name them: a value, or the path of a file."""

from __future__ import annotations

import os
from pathlib import Path

from dppa_core.checkpoints.sources.references import checked_reference
from dppa_core.errors import InvalidRecipe, shown
from dppa_core.recipes.yaml_text import MergeRecipe, load_recipe


def as_recipe(recipe: MergeRecipe | str | Path) -> MergeRecipe:
    """The recipe itself, or that of a file."""
    if isinstance(recipe, MergeRecipe):
        return recipe
    if not isinstance(recipe, (str, Path)):
        raise InvalidRecipe(
            f"A recipe must be a MergeRecipe or the path of its file, got {shown(recipe)}."
        )
    if "\n" in str(recipe):
        raise InvalidRecipe(
            f"A recipe must be a MergeRecipe or the path of its file, got a text of several lines: "
            f"{shown(recipe)}. parse_recipe reads that."
        )
    return load_recipe(recipe)


def recipe_or_model(target: MergeRecipe | str | Path) -> MergeRecipe | str:
    """A recipe, from its file if it is a path; or the reference of a model."""
    if isinstance(target, MergeRecipe):
        return target
    text = checked_reference(target, "A recipe file or a model")
    if text.lower().endswith((".yaml", ".yml")) or os.path.isfile(text):
        return load_recipe(text)
    return text
