"""What a method of mergekit becomes here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dppa_core.pruning.coefficients import Coefficient
from dppa_core.recipes.mergekit.reader import MergekitSource


@dataclass(frozen=True, slots=True)
class MethodHere:
    """A method of ours with its settings, and those of each model."""

    method: str
    coefficients: Sequence[Coefficient]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    separate: Sequence[Mapping[str, Coefficient]] = ()
    """Each model's own values of the method's parameters."""


Importers = Mapping[str, tuple[tuple[str, ...], Callable[[MergekitSource], MethodHere]]]
"""mergekit method -> its parameters, and the function that imports it."""

FROM_THE_FIRST = ("slerp", "nearswap", "arcee_fusion")
"""Methods of mergekit that go from their base to one other model; of two, the first is its base."""
