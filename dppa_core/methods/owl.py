"""OWL: densities by the outliers of each layer, the same for all of its modules (arXiv:2310.05175).

The paper prunes weights by activation outliers. Applied to deltas, with the magnitude as the score,
it is the first half of Dynamically Pruning.
"""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.methods.dppa import dppa
from dppa_core.methods.shared.contract import Method
from dppa_core.parameter_fields import Parameters, number
from dppa_core.pruning.pruning_parameters import (
    PruningParameters,
    other_tensors_choice,
    ties_choice,
)


@dataclass(frozen=True, slots=True)
class OwlParameters(Parameters):
    """Settings of OWL; the defaults are the paper's."""

    strength: float = number(
        0.08,
        title="Strength",
        text="How far a layer's density moves from the mean (lambda).",
        unit="share",
        span=(0.0, 0.5, 0.01),
    )
    k_layer: float = number(
        5.0,
        title="Outliers of a layer",
        text="Elements above this multiple of the layer's mean |d| are outliers (M).",
        unit="x mean",
        span=(0.1, 100.0, 0.1),
    )
    ties: str = ties_choice()
    other_tensors: str = other_tensors_choice()


class _LayersOnly(PruningParameters):
    """Dynamically Pruning without the step from layers to modules."""

    __slots__ = ()

    @property
    def module_strength(self) -> float:
        return 0.0


def pruning(parameters: OwlParameters) -> PruningParameters:
    """Dynamically Pruning in which layers with more outliers keep more."""
    return _LayersOnly(
        strength=parameters.strength,
        k_layer=parameters.k_layer,
        ties=parameters.ties,
        other_tensors=parameters.other_tensors,
    )


METHOD = Method(
    name="owl",
    title="OWL",
    paper="arXiv:2310.05175",
    summary="Keeps the largest delta entries, more of them in layers with many outliers.",
    group="sparse",
    home="Cut deltas whose layers differ in outliers.",
    parameters=OwlParameters,
    treat=dppa,
    pruning=pruning,
    levels="many",
)
