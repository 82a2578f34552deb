"""NearSwap: take over another model's weights where the two are nearly equal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.ends import check_one_way, first_delta, way
from dppa_core.methods.shared.stack import Combination, Rows, Stack
from dppa_core.parameter_fields import Parameters, number

SMALLEST = np.float32(1e-6)
"""As in mergekit: smaller differences count as this."""


@dataclass(frozen=True, slots=True)
class NearswapParameters(Parameters):
    """Settings of NearSwap; the default is that of the model it was made for."""

    t: float = number(
        0.0001,
        title="Farthest step",
        text="A weight moves towards the second model by at most this, so only near ones get "
        "there. The coefficient of that model multiplies it.",
        unit="weight",
        span=(0.0, 1.0, 0.0001),
    )


def nearswap(stack: Stack, parameters: NearswapParameters, statistic: None = None) -> Rows:
    """From the first model towards the second, as far as t."""
    difference = way(stack)
    t = np.float32(parameters.t * stack.coefficients[-1])
    share = np.clip(t / np.maximum(np.abs(difference), SMALLEST), np.float32(0), np.float32(1))
    merged: Rows = first_delta(stack) + share * difference
    return merged


METHOD = Method(
    name="nearswap",
    title="NearSwap",
    paper="",
    summary="Moves every weight a little towards another model, so that near ones become its own.",
    group="linear",
    home="A model that should take only a touch of another.",
    parameters=NearswapParameters,
    combination=Combination(nearswap, keeps_zeros=True),
    rounds=True,
    check=check_one_way,
)
