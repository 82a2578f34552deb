"""DELLA without an election: drop at random, small elements more often, and add up.

With a window of 0 it is mergekit's dare_linear.
"""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.methods.della import DellaParameters, Factors, magprune, survey_della
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import divide, scale
from dppa_core.methods.shared.sparse_sum import add_all
from dppa_core.methods.shared.stack import Combination, Rows, Stack


@dataclass(frozen=True, slots=True)
class DellaLinearParameters(DellaParameters):
    """Settings of DELLA without an election."""

    scale: float = scale(1.0)
    divide: str = divide("nothing")


def della_linear(stack: Stack, parameters: DellaLinearParameters, factors: Factors) -> Rows:
    """Drop by magnitude, then add up, or average."""
    left = magprune(stack, parameters, factors)
    return add_all(stack, left, parameters.divide, parameters.scale)


METHOD = Method(
    name="della_linear",
    title="DELLA, linear",
    paper="arXiv:2406.11617",
    summary="Drops delta entries at random, small ones more often, and adds up the rest.",
    group="sparse",
    home="Small deltas whose signs hardly meet.",
    parameters=DellaLinearParameters,
    combination=Combination(della_linear, survey_della),
    rounds=True,
)
