"""MagMax: of every element the largest change of all models (arXiv:2407.06322)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import scale
from dppa_core.methods.shared.stack import Combination, Rows, Stack
from dppa_core.parameter_fields import Parameters


@dataclass(frozen=True, slots=True)
class MagmaxParameters(Parameters):
    """Settings of MagMax."""

    scale: float = scale(1.0)


def magmax(stack: Stack, parameters: MagmaxParameters, statistic: None = None) -> Rows:
    """The element of largest magnitude, with its sign; of two that are opposite the positive."""
    weighted = stack.weighted()
    high, low = weighted.max(axis=0), weighted.min(axis=0)
    return np.asarray(np.float32(parameters.scale) * np.where(high >= -low, high, low))


METHOD = Method(
    name="magmax",
    title="MagMax",
    paper="arXiv:2407.06322",
    summary="Takes, element by element, the change of the model that changed it most.",
    group="sign",
    home="Trainings one after the other, or models that change different elements.",
    parameters=MagmaxParameters,
    combination=Combination(magmax),
)
