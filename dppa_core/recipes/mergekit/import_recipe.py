"""Imports mergekit's recipes, with notes on the differences.

The rules are from mergekit's documentation and version 0.1.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from dppa_core.errors import NoCounterpart
from dppa_core.recipes.mergekit.documents import read_recipes
from dppa_core.recipes.mergekit.ignored import ignored_keys
from dppa_core.recipes.mergekit.import_pruned import PRUNED
from dppa_core.recipes.mergekit.import_turned import TURNED
from dppa_core.recipes.mergekit.output_keys import read_output
from dppa_core.recipes.mergekit.reader import MergekitSource, read_source
from dppa_core.recipes.mergekit.slices import check_complete
from dppa_core.recipes.mergekit.targets import FROM_THE_FIRST, Importers, MethodHere
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

_METHODS: Importers = {**PRUNED, **TURNED}
"""mergekit method -> its parameters, and the function that imports it."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A recipe of ours made from one of mergekit's."""

    recipe: MergeRecipe
    notes: tuple[str, ...]
    """Differences from a merge by mergekit, one sentence each; empty if exact."""


def import_mergekit(text: str, names: Callable[[str], Sequence[str]] = lambda base: ()) -> Imported:
    """Convert a mergekit recipe to ours.

    Args:
        names: Reference of a model -> names of its tensors, see `read_source`; needed for
            gradients over layers and for filters.

    Raises:
        InvalidRecipe: not a recipe of mergekit.
        NoCounterpart: our recipes cannot express it; the message says why.
    """
    documents, repeated = read_recipes(text)
    if len(documents) > 1:
        raise NoCounterpart(
            f"This file holds {len(documents)} recipes, which make one merge stage by stage: `dppa "
            "import FILE --out FOLDER` writes a recipe for each."
        )
    return import_document(documents[0], repeated, names)


def import_document(
    data: Mapping[Any, Any], repeated: Sequence[str], names: Callable[[str], Sequence[str]]
) -> Imported:
    """Convert one mergekit recipe, see `import_mergekit`.

    Args:
        repeated: Keys that appear again in their mapping, for a note.
    """
    names = cache(names)
    source = read_source(data, names, _METHODS)
    if repeated:
        source.note(f"Repeated keys: {', '.join(repeated)}. The last counts, as in mergekit.")
    output = read_output(source, names)
    target = _target(source)
    settings = target.separate or [{}] * len(source.models)
    models = tuple(
        DomainModel(reference, coefficient=coefficient, parameters=values)
        for (reference, _), coefficient, values in zip(
            source.models, target.coefficients, settings, strict=True
        )
    )
    recipe = MergeRecipe(source.base, models, target.method, target.parameters, **output)
    return Imported(recipe, tuple(source.notes))


def _target(source: MergekitSource) -> MethodHere:
    """Read the parameters of a recipe; all its problems become one error."""
    if source.method not in _METHODS:
        for _, model in source.models:
            for name in {name for names, _ in _METHODS.values() for name in names}:
                source.setting(name, 1.0, model)
        source.problems.check()
    keys, read = _METHODS[source.method]
    names = ", ".join(ignored_keys(source.data, keys))
    ignored = f"Ignored by mergekit too: {names}." if names else ""
    if "weight" not in keys and source.method not in FROM_THE_FIRST:
        source.problems.run(lambda: check_complete(source.models, source.method), None)
    target = source.problems.run(lambda: read(source), None) if source.models else None
    source.problems.check(ignored)
    if ignored:
        source.note(ignored)
    return target or MethodHere(source.method, [])
