"""Magnitude pruning: the largest elements of every module, all modules at the same rate."""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.methods.dppa import dppa
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.treatment import Request, Treatments
from dppa_core.parameter_fields import Parameters
from dppa_core.pruning.pruning_parameters import (
    PruningParameters,
    other_tensors_choice,
    ties_choice,
)


@dataclass(frozen=True, slots=True)
class MagnitudeParameters(Parameters):
    """Settings of magnitude pruning."""

    ties: str = ties_choice()
    other_tensors: str = other_tensors_choice()


def magnitude(request: Request, parameters: MagnitudeParameters) -> Treatments:
    """Dynamically Pruning with strength 0: every density is the mean."""
    plain = PruningParameters(
        strength=0.0, ties=parameters.ties, other_tensors=parameters.other_tensors
    )
    return dppa(request, plain)


METHOD = Method(
    name="magnitude",
    title="Magnitude pruning",
    paper="",
    summary="Keeps the largest delta entries of every module, all modules at the same rate.",
    parameters=MagnitudeParameters,
    treat=magnitude,
    levels="many",
    needs_profile=True,
)
