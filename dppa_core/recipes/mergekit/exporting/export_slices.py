"""Cuts recipes of stacks into the slices that mergekit has for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from dppa_core.checkpoints.sources.references import LayerRange, layer_ranges
from dppa_core.errors import IncompatibleCheckpoints, many
from dppa_core.pruning.coefficients import Coefficient, coefficient_from, coefficient_of
from dppa_core.pruning.module_groups import at_layer, layer_count, layer_of
from dppa_core.pruning.tensor_names import before_blocks
from dppa_core.recipes.yaml_text import MergeRecipe

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class RecipePart:
    """Some layers of a recipe; all of them without stacks."""

    recipe: MergeRecipe
    """With the coefficients of these layers, which count from 0."""
    shapes: Shapes
    """Of the tensors of these layers; empty if unknown."""
    ranges: tuple[LayerRange, ...]
    """Of the base and the models; none without stacks."""


def parts_of_recipe(recipe: MergeRecipe, shapes: Shapes) -> tuple[RecipePart, ...]:
    """The recipe cut wherever a range of a stack ends.

    Raises:
        IncompatibleCheckpoints: its stacks have unequal numbers of layers.
    """
    references = (recipe.base, *(model.model for model in recipe.models))
    stacks = {name: layer_ranges(name) for name in references}
    depths = {name: sum(b - a for _, a, b in ranges) for name, ranges in stacks.items() if ranges}
    if not depths:
        return (RecipePart(recipe, shapes, ()),)
    if len(set(depths.values())) > 1:
        listed = ", ".join(f"{name} has {many(depth, 'layer')}" for name, depth in depths.items())
        raise IncompatibleCheckpoints(f"All models of a merge have one number of layers: {listed}.")
    total = next(iter(depths.values()))
    columns = [stacks[name] or (LayerRange(name, 0, total),) for name in references]
    ends = {end for ranges in columns for end in accumulate(b - a for _, a, b in ranges)}
    spans = list(pairwise(sorted({0, *ends})))
    return tuple(
        RecipePart(
            _with_coefficients(recipe, part := _names_in(shapes, span, total), layer_count(shapes)),
            {local: shapes[name] for local, name in part.items()},
            tuple(_range_at(ranges, *span) for ranges in columns),
        )
        for span in spans
    )


def _range_at(ranges: Sequence[LayerRange], first: int, end: int) -> LayerRange:
    """The layers of a stack from `first` to `end`, which lie in one of its ranges."""
    for model, start, stop in ranges:
        if first < stop - start:
            return LayerRange(model, start + first, start + end)
        first, end = first - (stop - start), end - (stop - start)
    raise IndexError(first)


def _names_in(shapes: Shapes, span: tuple[int, int], total: int) -> dict[str, str]:
    """Name in a slice, whose layers count from 0, -> name in the merge."""
    names = {}
    for name in shapes:
        layer = layer_of(name)
        if layer is None:
            if span[0] == 0 if before_blocks(name) else span[1] == total:
                names[name] = name
        elif span[0] <= layer < span[1]:
            names[at_layer(name, layer - span[0])] = name
    return names


def _with_coefficients(recipe: MergeRecipe, names: Mapping[str, str], layers: int) -> MergeRecipe:
    def cut(coefficient: Coefficient) -> Coefficient:
        if isinstance(coefficient, float) or not names:
            return coefficient
        numbers = {n: coefficient_of(coefficient, name, layers) for n, name in names.items()}
        return coefficient_from(numbers)

    models = (
        replace(
            model,
            coefficient=cut(model.coefficient),
            parameters={name: cut(value) for name, value in model.parameters.items()},
        )
        for model in recipe.models
    )
    return replace(recipe, models=tuple(models))
