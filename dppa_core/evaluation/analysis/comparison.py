"""Number of weights that differ between the merges of two recipes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from dppa_core.errors import IncompatibleCheckpoints, InvalidValue, shown
from dppa_core.merging.merger import open_merger
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.progress import Progress, report
from dppa_core.pruning.floats import FLOATS, to_float32
from dppa_core.recipes.recipe import ARITHMETICS
from dppa_core.recipes.yaml_text import MergeRecipe


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two merges in one tensor."""

    name: str
    numel: int
    differing: int
    """Number of elements that differ after rounding to the recipes' dtype."""
    largest: float
    """The largest difference."""
    squares: float
    """Sum of squared differences."""
    delta_squares: float
    """Sum of squared changes from the base by the first recipe."""


def relative_size(differences: Sequence[Difference]) -> float:
    """The norm of all differences over that of the first merge's changes; 0 without changes."""
    delta = sum(item.delta_squares for item in differences)
    return math.sqrt(sum(item.squares for item in differences) / delta) if delta else 0.0


def with_semantics(recipe: MergeRecipe, name: str) -> MergeRecipe:
    """The recipe with the semantics of another program, or in another arithmetic.

    Args:
        recipe: A recipe whose method has the parameter `semantics`, or can round every operation.
        name: One of its choices, such as "mergekit"; or a dtype, such as "bfloat16".

    Raises:
        InvalidValue: the method has no such semantics, or the recipe uses it already.
        InvalidRecipe: the recipe cannot have that arithmetic.
    """
    if name in ARITHMETICS and name != recipe.arithmetic:
        return replace(recipe, arithmetic=name)
    method = get_method(recipe.method)
    choices = _meanings(recipe.method)
    if name not in choices:
        several = ", ".join(m.name for m in METHODS if _meanings(m.name))
        remedy = f"It has {', '.join(choices)}." if choices else f"Methods that have: {several}."
        raise InvalidValue(f"{method.name} has no semantics {shown(name)}. {remedy}")
    if recipe.settings().semantics == name:
        raise InvalidValue(
            f"The recipe means {name} already, so there is nothing to compare. Others of "
            f"{method.name}: {', '.join(choice for choice in choices if choice != name)}."
        )
    return replace(recipe, parameters={**recipe.parameters, "semantics": name})


def _meanings(method: str) -> tuple[str, ...]:
    for field in fields(get_method(method).parameters):
        if field.name == "semantics":
            return tuple(field.metadata["choices"])
    return ()


def compare_merges(
    first: MergeRecipe, second: MergeRecipe, *, progress: Progress | None = None
) -> tuple[Difference, ...]:
    """Merge both recipes tensor by tensor, and count the elements that differ.

    Args:
        second: Another recipe with the same base and dtype.

    Raises:
        IncompatibleCheckpoints: the bases have different tensors.
    """
    mergers = [open_merger(recipe, progress=progress) for recipe in (first, second)]
    names = mergers[0].names()
    if names != mergers[1].names():
        raise IncompatibleCheckpoints("The recipes merge models of other tensors: two bases?")
    differences = []
    for number, name in enumerate(names):
        report(progress, number, len(names), name)
        (dtype, _, a), (second_dtype, _, b) = (merger.tensor(name) for merger in mergers)
        if dtype in FLOATS and second_dtype in FLOATS:
            merged = to_float32(a, dtype)
            gap = np.abs(merged - to_float32(b, second_dtype))
            stored = mergers[0].base
            delta = merged - to_float32(stored.raw(name), stored.dtype(name))
            numbers = int(np.count_nonzero(gap)), float(gap.max(initial=0))
            squares = (float(np.square(part, dtype=np.float64).sum()) for part in (gap, delta))
            differences.append(Difference(name, gap.size, *numbers, *squares))
    report(progress, len(names), len(names), "compared")
    return tuple(differences)
