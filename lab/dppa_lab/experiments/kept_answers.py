"""Cached answers of the experiments, apart for each GPU; those of the processor alone name none.

Knows keys of questions, not the questions.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from pathlib import Path

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.merging.in_memory.source import memory_of
from dppa_core.models.devices import expected_place
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.folder_cache import cache_folder, load, store

Place = tuple[str, ...]
"""See `place_of`."""
KeyOf = Callable[[Place], str]
"""The key of a question that is answered at a place."""


def entry(key: str) -> Path:
    """The file of an answer."""
    return cache_folder("experiments") / f"{key}.json"


def exact_place(recipe: MergeRecipe) -> Place:
    """Where the base of a recipe is expected to be `moved`."""
    return expected_place(*memory_of(open_checkpoint(recipe.base)), exact=True)


def computed(recipe: MergeRecipe, key: KeyOf) -> bytes | None:
    """The answer of the GPU that is expected, or else that of the processor."""
    return load(entry(key(exact_place(recipe)))) or load(entry(key(())))


def keep(places: Set[Place], key: KeyOf, text: str) -> None:
    """Keep an answer under the place where all its models computed; not if there were several.

    Args:
        places: See `places_of_moved`.
    """
    if len(places) == 1:
        store(entry(key(*places)), text.encode())
