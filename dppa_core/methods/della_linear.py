"""DELLA without an election: drop at random, small elements more often, and add up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dppa_core.methods.della import DellaParameters, Factors, magprune, survey_della
from dppa_core.methods.linear import NO_MEAN
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import divide, scale
from dppa_core.methods.shared.stack import Combination, Rows, Stack


@dataclass(frozen=True, slots=True)
class DellaLinearParameters(DellaParameters):
    """Settings of DELLA without an election."""

    scale: float = scale(1.0)
    divide: str = divide("nothing")


def della_linear(stack: Stack, parameters: DellaLinearParameters, factors: Factors) -> Rows:
    """Drop by magnitude, then add up, or average."""
    left = replace(stack, deltas=magprune(stack, parameters, factors))
    total = sum(stack.coefficients)
    divisor = total if parameters.divide == "coefficients" and abs(total) >= NO_MEAN else 1.0
    merged: Rows = np.float32(parameters.scale / divisor) * left.weighted().sum(axis=0)
    return merged


METHOD = Method(
    name="della_linear",
    title="DELLA, linear",
    paper="arXiv:2406.11617",
    summary="Drops delta entries at random, small ones more often, and adds up the rest.",
    group="sparse",
    parameters=DellaLinearParameters,
    combination=Combination(della_linear, survey_della),
)
