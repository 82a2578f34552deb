"""Exports our recipes to mergekit: exactly, with notes on differences, or refused with a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import yaml

from dppa_core.recipes.mergekit.exporting.export_methods import in_mergekit
from dppa_core.recipes.mergekit.exporting.export_turned import FROM_THE_FIRST
from dppa_core.recipes.yaml_text import MergeRecipe, RowDumper


@dataclass(frozen=True, slots=True)
class Exported:
    """A mergekit recipe made from one of ours."""

    text: str
    notes: tuple[str, ...]
    """Differences from a merge here, one sentence each; empty if exact."""


def export_mergekit(
    recipe: MergeRecipe,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    place: Callable[[str], str] = str,
) -> Exported:
    """Convert a recipe to mergekit's format.

    Args:
        shapes: Shapes of the base's tensors, if it can be read; needed if coefficients differ by
            layer.
        place: Reference -> the name or path for mergekit.

    Raises:
        NoCounterpart: mergekit has no such merge; the message says why.
    """
    merge = in_mergekit(recipe, shapes or {})
    notes = list(merge.notes)
    smallest = min(map(prod, (shapes or {}).values()), default=None)
    gamma = [values["gamma"] for values in merge.models if "gamma" in values]
    if gamma and (smallest is None or min(gamma) * smallest < 1):
        notes.append(
            f"Where {min(gamma):g} of a tensor is less than one element, mergekit drops its whole "
            "delta, without a word."
        )
    models: list[dict[str, Any]] = [
        {"model": place(model.model)} | ({"parameters": dict(values)} if values else {})
        for model, values in zip(recipe.models, merge.models, strict=True)
    ]
    base = recipe.base
    if merge.method in FROM_THE_FIRST:
        if len(models) == 1:
            models.insert(0, {"model": place(base)})
        else:
            base = recipe.models[0].model
    written: dict[str, Any] = {"merge_method": merge.method}
    if merge.from_base:
        written["base_model"] = place(base)
    written |= {"models": models}
    if merge.parameters:
        written["parameters"] = dict(merge.parameters)
    written |= _vocabulary(recipe, place, notes)
    written |= _dtypes(recipe, notes)
    text = yaml.dump(written, Dumper=RowDumper, sort_keys=False, allow_unicode=True)
    return Exported(str(text), tuple(notes))


def _dtypes(recipe: MergeRecipe, notes: list[str]) -> dict[str, str]:
    """float32 sums with one rounding, as here; nothing if the base's dtype is not known."""
    if recipe.dtype != "base":
        return {"dtype": "float32", "out_dtype": recipe.dtype}
    notes.append(
        "The recipe takes the base's dtype, and the base is not here: mergekit rounds every step "
        "to that dtype, where sums here are float32. Name the dtype to have the same."
    )
    return {}


def _vocabulary(
    recipe: MergeRecipe, place: Callable[[str], str], notes: list[str]
) -> dict[str, Any]:
    """The tokenizer source if it is not the base; differences go into the notes."""
    if recipe.heads == "base":
        notes.append("mergekit has no `heads: base`: it stops at heads that differ.")
    if recipe.chat_template not in ("auto", "base"):
        notes.append("mergekit takes the chat template of the base; the recipe names another.")
    if recipe.vocabulary == "base":
        return {}
    notes.append(
        "Where a model lacks a token of the base, mergekit puts the mean of the others there; here "
        "its row is the base's."
    )
    owner = recipe.vocabulary
    return {"tokenizer_source": owner if owner == "union" else place(owner)}
