"""Linear: the weighted mean of the models, a soup (arXiv:2203.05482)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.stack import Combination, Rows, Stack
from dppa_core.parameter_fields import Parameters, choice

NO_MEAN = 1e-8
"""A smaller sum of coefficients has no mean: the base stays unchanged."""


@dataclass(frozen=True, slots=True)
class LinearParameters(Parameters):
    """Settings of a linear merge."""

    divide: str = choice(
        "coefficients",
        title="Divide by",
        text="coefficients: their sum, for a weighted mean (a soup). nothing: a plain weighted "
        "sum, whose size grows with the coefficients.",
        choices=("coefficients", "nothing"),
    )


def linear(stack: Stack, parameters: LinearParameters, statistic: None = None) -> Rows:
    """The sum of coefficient times model, minus the base.

    Computed on deltas, whose rounding errors are small. If the coefficients sum to less than 1, the
    missing share of the base is subtracted; for a plain sum of no models that is all of it.
    """
    weights = np.array(stack.coefficients, np.float64)
    total = float(weights.sum())
    if parameters.divide == "nothing":
        merged = np.float32(total - 1) * stack.base
    else:
        merged = np.zeros_like(stack.base)
        weights = weights / total if abs(total) >= NO_MEAN else 0 * weights
    for delta, weight in zip(stack.deltas, weights, strict=True):
        merged += np.float32(weight) * delta
    return merged


METHOD = Method(
    name="linear",
    title="Linear",
    paper="arXiv:2203.05482",
    summary="Averages the models themselves, weighted by their coefficients: a soup.",
    group="linear",
    home="Several runs of one task.",
    parameters=LinearParameters,
    combination=Combination(linear, of_none=lambda parameters: parameters.divide == "nothing"),
    rounds=True,
)
