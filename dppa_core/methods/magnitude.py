"""Magnitude pruning: the largest elements of every module, all modules at the same rate."""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.methods.dppa import dppa
from dppa_core.methods.shared.contract import Method
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


def pruning(parameters: MagnitudeParameters) -> PruningParameters:
    """Dynamically Pruning with strength 0: every density is the mean."""
    ties, others = parameters.ties, parameters.other_tensors
    return PruningParameters(strength=0.0, ties=ties, other_tensors=others)


METHOD = Method(
    name="magnitude",
    title="Magnitude pruning",
    paper="",
    summary="Keeps the largest delta entries of every module, all modules at the same rate.",
    group="sparse",
    home="Deltas cut moderately; the simplest rule.",
    parameters=MagnitudeParameters,
    treat=dppa,
    pruning=pruning,
    levels="many",
)
