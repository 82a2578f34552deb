"""A merge of ours in mergekit's terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dppa_core.recipes.mergekit.exporting.weights import Blocks
from dppa_core.recipes.yaml_text import MergeRecipe


@dataclass(frozen=True, slots=True)
class MethodInMergekit:
    """A merge in mergekit's terms."""

    method: str
    models: Sequence[Mapping[str, Any]]
    """Parameters of each domain model."""
    parameters: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    from_base: bool = True
    """False if mergekit must not be told of a base."""


Exporters = Mapping[str, Callable[[MergeRecipe, Blocks | None], MethodInMergekit]]
"""Our method -> the function that puts it in mergekit's terms."""
