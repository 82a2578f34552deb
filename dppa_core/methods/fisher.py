"""Fisher: the mean of the models, weighted by Fisher information (arXiv:2111.09832).

The importance is the diagonal of a model's Fisher information, the mean squared gradient of the
log-likelihood on its calibration text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.methods.linear import NO_MEAN
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import scale
from dppa_core.methods.shared.stack import Combination, Rows, Stack
from dppa_core.parameter_fields import Parameters, choice

FLOOR = 1e-6
"""The least importance of an element, as in the paper's program."""


@dataclass(frozen=True, slots=True)
class FisherParameters(Parameters):
    """Settings of Fisher merging."""

    divide: str = choice(
        "norm",
        title="Divide by",
        text="norm: a model's Fisher information by its norm over the whole model, so that none "
        "outweighs the others by scale alone. nothing: as measured.",
        choices=("norm", "nothing"),
    )
    scale: float = scale(1.0)


def fisher(stack: Stack, parameters: FisherParameters, statistic: None = None) -> Rows:
    """Sum of coefficient * importance * delta over sum of coefficient * importance; scaled.

    With the paper's scale of 1, equal deltas stay unchanged.
    """
    weights = np.stack(
        [_importance(stack, model, parameters) for model in range(len(stack.models))]
    )
    weights *= np.array(stack.coefficients)[:, None, None]
    divisor = weights.sum(axis=0)
    # Weights that cancel have no mean: the base stays.
    none = np.abs(divisor) < NO_MEAN * np.abs(weights).sum(axis=0)
    total = parameters.scale * (weights * stack.deltas).sum(axis=0)
    return np.where(none, 0.0, total / np.where(none, 1.0, divisor)).astype(np.float32)


def _importance(
    stack: Stack, model: int, parameters: FisherParameters
) -> Float64[ndarray, "rows columns"]:
    measured = stack.statistics[model]
    if measured is None:
        return np.full(stack.base.shape, FLOOR)
    norm = stack.norms[model] if parameters.divide == "norm" else 1.0
    return np.maximum(measured.astype(np.float64) / (norm or 1.0), FLOOR)


METHOD = Method(
    name="fisher",
    title="Fisher",
    paper="arXiv:2111.09832",
    summary="Averages the models, every element weighted by its Fisher information on calibration "
    "text.",
    group="data",
    home="Tasks with a text at hand.",
    parameters=FisherParameters,
    combination=Combination(fisher, statistics="fisher"),
)
