"""Files of several mergekit recipes, of which later ones merge the results of earlier ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from dppa_core.errors import InvalidRecipe, shown
from dppa_core.recipes.mergekit.documents import read_recipes
from dppa_core.recipes.mergekit.import_recipe import Imported, import_document

LAST = "merge"
"""The name of a recipe without one."""
_NO_FILE_NAME = re.compile(r"[^\w.-]+")


def import_stages(
    text: str, names: Callable[[str], Sequence[str]] = lambda model: ()
) -> dict[str, Imported]:
    """The recipes of a file by name, each after those whose results it merges.

    Args:
        names: See `import_mergekit`.

    Raises:
        InvalidRecipe: two recipes of one name, or a circle; see `import_mergekit`.
        NoCounterpart: see there.
    """
    documents, repeated = read_recipes(text)
    if len(documents) == 1:
        return {LAST: import_document(documents[0], repeated, names)}
    stages: dict[str, Mapping[Any, Any]] = {}
    for document in documents:
        name = str(document.get("name") or LAST)
        if name in stages:
            raise InvalidRecipe(
                f"Two recipes of this file have the name {shown(name)}, or none. A line `name: …` "
                "tells them apart; one may have none."
            )
        stages[name] = document
    imported: dict[str, Imported] = {}

    def tensors(model: str) -> Sequence[str]:
        return tensors(imported[model].recipe.base) if model in imported else names(model)

    for name in _ordered(stages):
        imported[name] = _import_stage(name, stages[name], tensors)
    return imported


def _ordered(stages: Mapping[str, Mapping[Any, Any]]) -> tuple[str, ...]:
    uses = {name: _stages_of(document, stages) for name, document in stages.items()}
    try:
        return tuple(TopologicalSorter(uses).static_order())
    except CycleError as error:
        raise InvalidRecipe(
            f"The recipes {', '.join(map(shown, error.args[1]))} merge each other's results in a "
            "circle."
        ) from error


def _stages_of(value: Any, stages: Mapping[str, Any]) -> set[str]:
    """The recipes whose results a recipe names as a model."""
    return {text for text in map(stage_of, _texts(value)) if text in stages}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = [item for key, item in value.items() if key != "name"]
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def stage_of(reference: str) -> str:
    """The model below the adapters of a reference, which may be an earlier recipe's."""
    return reference.partition("+")[0].strip()


def _import_stage(
    name: str, document: Mapping[Any, Any], names: Callable[[str], Sequence[str]]
) -> Imported:
    try:
        return import_document(document, [], names)
    except InvalidRecipe as error:
        raise InvalidRecipe(f"recipe {shown(name)}: {error}") from error


def file_names(stages: Sequence[str]) -> dict[str, str]:
    """Name of each recipe -> that of its file."""
    files: dict[str, str] = {}
    for name in stages:
        stem = _NO_FILE_NAME.sub("-", name).strip("-.") or "recipe"
        while f"{stem}.yaml" in files.values():
            stem += "-"
        files[name] = f"{stem}.yaml"
    return files
