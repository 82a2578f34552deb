"""Exports our recipes to mergekit: exactly, with notes on differences, or refused with a reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dppa_core.checkpoints.adapters.packs import SUFFIX
from dppa_core.checkpoints.sources.references import kept_delta, stacked_models
from dppa_core.checkpoints.sources.zoo import NEAR_BASE, zoo_base
from dppa_core.errors import NoCounterpart
from dppa_core.recipes.mergekit.exporting.export_methods import in_mergekit
from dppa_core.recipes.mergekit.exporting.export_slices import RecipePart, parts_of_recipe
from dppa_core.recipes.mergekit.exporting.export_tokens import tokens_in_mergekit
from dppa_core.recipes.mergekit.exporting.method_in_mergekit import MethodInMergekit
from dppa_core.recipes.mergekit.targets import FROM_THE_FIRST
from dppa_core.recipes.yaml_text import MergeRecipe, RowDumper

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+(@.*)?")


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
    for reference in (recipe.base, *(model.model for model in recipe.models)):
        _check_readable(reference)
    parts = parts_of_recipe(recipe, shapes or {})
    merges = [in_mergekit(part.recipe, part.shapes) for part in parts]
    notes = list(dict.fromkeys(note for merge in merges for note in merge.notes))
    written: dict[str, Any] = {"merge_method": merges[0].method}
    ends = merges[0].method in FROM_THE_FIRST and len(recipe.models) == 2
    base = recipe.models[0].model if ends else recipe.base
    if merges[0].from_base:
        written["base_model"] = place(stacked_models(base)[0])
    if parts[0].ranges:
        several = len(stacked_models(base)) > 1
        pairs = zip(parts, merges, strict=True)
        written["slices"] = [_slice(part, merge, place, ends, several) for part, merge in pairs]
    else:
        written["models"] = _models(recipe, merges[0], place)
        if merges[0].parameters:
            written["parameters"] = dict(merges[0].parameters)
    if recipe.heads == "base":
        notes.append("mergekit has no `heads: base`: it stops at heads that differ.")
    written |= tokens_in_mergekit(recipe, place, base if merges[0].from_base else "", notes)
    written |= _dtypes(recipe, notes)
    text = yaml.dump(written, Dumper=RowDumper, sort_keys=False, allow_unicode=True)
    return Exported(str(text), tuple(notes))


def _check_readable(reference: str) -> None:
    packed = "+" in reference and reference.endswith(SUFFIX)
    if kept_delta(reference) or packed or zoo_base(reference.removeprefix("zoo:")) == NEAR_BASE:
        raise NoCounterpart(
            f"{reference}: mergekit reads whole models and adapters, no delta pack and nothing "
            "that a form keeps. `dppa convert` writes it as a folder; name that in the recipe."
        )


def _models(
    recipe: MergeRecipe, merge: MethodInMergekit, place: Callable[[str], str]
) -> list[dict[str, Any]]:
    models = [
        {"model": place(model.model)} | _parameters(values)
        for model, values in zip(recipe.models, merge.models, strict=True)
    ]
    if merge.method in FROM_THE_FIRST and len(models) == 1:
        models.insert(0, {"model": place(recipe.base)})
    return models


def _slice(
    part: RecipePart,
    merge: MethodInMergekit,
    place: Callable[[str], str],
    ends: bool,
    several: bool,
) -> dict[str, Any]:
    """One slice; its base is a source without parameters, if the method has one.

    Args:
        ends: True if the method goes from the first of two models, which is its base then.
        several: True if the base is a stack of several models.
    """
    base, *ranges = part.ranges
    own = [_parameters(values) for values in merge.models]
    if ends:
        base = ranges[0]
    elif merge.from_base:
        weighs = "weight" in merge.models[0]
        kept = [n for n, span in enumerate(ranges) if not weighs or span != base]  # has a delta
        ranges, own = [base, *(ranges[n] for n in kept)], [{}, *(own[n] for n in kept)]
    names = _distinct([place(span.model) for span in ranges])
    sources = [
        {"model": name, "layer_range": [span.start, span.stop]} | values
        for name, span, values in zip(names, ranges, own, strict=True)
    ]
    named = {"base_model": place(base.model)} if several else {}
    return {"sources": sources} | named | _parameters(merge.parameters)


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of models, of which each stands once: mergekit takes a model of one name once.

    Raises:
        NoCounterpart: a model of the Hub more often than it has names.
    """
    distinct: list[str] = []
    for name in names:
        model, plus, adapter = name.partition("+")
        if name not in distinct:
            distinct.append(name)
        elif _HUB_NAME.fullmatch(model) and not Path(model).exists():
            other = f"{model}@main{plus}{adapter}"
            if "@" in model or other in distinct:
                raise NoCounterpart(
                    f"{name} stands several times in a slice, and mergekit takes a model of one "
                    "name once there. Name a folder with it."
                )
            distinct.append(other)
        else:
            times = names[: len(distinct)].count(name)
            distinct.append(f"{model}{'/.' * times}{plus}{adapter}")
    return distinct


def _parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"parameters": dict(values)} if values else {}


def _dtypes(recipe: MergeRecipe, notes: list[str]) -> dict[str, str]:
    """The arithmetic, which is most often float32 sums with one rounding, and the written dtype.

    Nothing if the base's dtype is not known.
    """
    if recipe.dtype != "base":
        return {"dtype": recipe.arithmetic, "out_dtype": recipe.dtype}
    notes.append(
        "The recipe takes the base's dtype, and the base is not here: mergekit rounds every step "
        "to that dtype, where sums here are float32. Name the dtype to have the same."
    )
    return {}
