"""Number of weights that differ between the merges of two recipes."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from dppa_core.errors import IncompatibleCheckpoints, InvalidValue, shown
from dppa_core.merging.merger import open_merger
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.progress import Progress, report
from dppa_core.pruning.floats import FLOATS, to_float32
from dppa_core.recipes.yaml_text import MergeRecipe


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two merges in one tensor."""

    name: str
    numel: int
    differing: int
    """Number of elements that differ after rounding to the recipes' dtype."""
    largest: float


def with_semantics(recipe: MergeRecipe, name: str) -> MergeRecipe:
    """The recipe with the semantics of another program.

    Args:
        recipe: A recipe whose method has the parameter `semantics`.
        name: One of its choices, such as "mergekit".

    Raises:
        InvalidValue: the method has no such semantics, or the recipe uses it already.
    """
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
            gap = np.abs(to_float32(a, dtype) - to_float32(b, second_dtype))
            differences.append(
                Difference(name, gap.size, int(np.count_nonzero(gap)), float(gap.max(initial=0)))
            )
    report(progress, len(names), len(names), "compared")
    return tuple(differences)
