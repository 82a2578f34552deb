"""The treatments of a tensor's delta that a method can choose; the merge carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dppa_core.pruning.module_groups import Module
from dppa_core.pruning.partition import Selection
from dppa_core.pruning.plan import PruningPlan
from dppa_core.pruning.pruning_parameters import Override


@dataclass(frozen=True, slots=True)
class WholeTreatment:
    """Add the whole delta, times a factor."""

    factor: float = 1.0
    rounded: bool = False
    """True if the delta, and its product with the factor, are rounded to bfloat16."""


@dataclass(frozen=True, slots=True)
class Banded:
    """Keep the elements inside nested bands; each partition has a factor."""

    selections: tuple[Selection, ...]
    """The threshold of each band, as far as the profile determines it."""
    factors: tuple[float, ...]
    rounded: bool = False
    """As for a whole delta."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """As `Banded`, at these levels, for a tensor that is profiled during the merge."""

    levels: tuple[float, ...]
    factors: tuple[float, ...]
    ties: str
    rounded: bool = False
    """As for a whole delta."""


@dataclass(frozen=True, slots=True)
class RandomDrop:
    """Drop elements at random with this rate; multiply the others by the factor."""

    rate: float
    factor: float


@dataclass(frozen=True, slots=True)
class Replacement:
    """Replace the base's weights by the model's, times a factor."""

    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class DroppedTreatment:
    """Add nothing: the base stays."""


Treatment = WholeTreatment | Banded | Ranked | RandomDrop | Replacement | DroppedTreatment


@dataclass(frozen=True, slots=True)
class Request:
    """The input of a method for one domain model."""

    modules: tuple[Module, ...]
    levels: tuple[float, ...]
    amplification: tuple[float, ...]
    overrides: Mapping[str, Override] = field(default_factory=dict)
    plan: PruningPlan | None = None
    """The plan of Dynamically Pruning at these levels, for methods that need it."""


@dataclass(frozen=True, slots=True)
class Treatments:
    """The treatments that a method chose."""

    modules: Mapping[str, Treatment]
    """Tensor name of a module -> its treatment."""
    others: Treatment
    """Treatment of every tensor that is not a module."""


def treat_others(choice: str, pruned: Treatment, kept: Treatment = WholeTreatment()) -> Treatment:
    """The treatment of embeddings, norms and biases: `keep`, `prune` or `drop`."""
    return {"prune": pruned, "keep": kept, "drop": DroppedTreatment()}[choice]
