"""RegMean: the matrix whose outputs are closest to those of all models (arXiv:2212.09849)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.methods.linear import LinearParameters, linear
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import scale
from dppa_core.methods.shared.stack import Combination, Rows, Stack
from dppa_core.parameter_fields import Parameters, number

_ROUNDING = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, slots=True)
class RegmeanParameters(Parameters):
    """Settings of RegMean; the defaults are the paper's."""

    off_diagonal: float = number(
        0.9,
        title="Off the diagonal",
        text="Multiplies the Gram matrices off their diagonals. Below 1 their sum can always be "
        "inverted; at 0 each input is averaged alone.",
        unit="x",
        span=(0.0, 1.0, 0.05),
    )
    scale: float = scale(1.0)


def regmean(stack: Stack, parameters: RegmeanParameters, statistic: None = None) -> Rows:
    """The sum of delta times Gram matrix, times the inverse of the sum of Gram matrices.

    Computed on deltas, which is equivalent since all models share the base. Tensors that are not
    modules are averaged. Coefficients weigh the Gram matrices; the scale multiplies the result.
    """
    grams = [gram for gram in stack.statistics if gram is not None]
    if len(grams) < len(stack.models):
        return np.float32(parameters.scale) * linear(stack, LinearParameters())
    size = grams[0].shape[0]
    damping = np.full((size, size), parameters.off_diagonal)
    np.fill_diagonal(damping, 1.0)
    outputs, total = np.zeros((0, 0)), np.zeros((size, size))
    for delta, gram, coefficient in zip(stack.deltas, grams, stack.coefficients, strict=True):
        weighted = coefficient * (gram * damping)
        rows = delta if stack.inputs == 1 else delta.T  # a column for each input
        term = rows.astype(np.float64) @ weighted
        outputs = term if not outputs.size else outputs + term
        total += weighted
    merged = _solved(total, outputs, parameters.off_diagonal, min(stack.coefficients) > 0)
    merged *= parameters.scale
    return (merged if stack.inputs == 1 else merged.T).astype(np.float32)


def _solved(
    total: Float64[ndarray, "inputs inputs"],
    outputs: Float64[ndarray, "outputs inputs"],
    off_diagonal: float,
    positive: bool,
) -> Float64[ndarray, "outputs inputs"]:
    """outputs times the inverse of total; the smallest solution if total is singular."""
    # Inputs that no text used have no best weight; the base's stays.
    used = np.diagonal(total) != 0
    merged = np.zeros_like(outputs)
    inner, targets = total[np.ix_(used, used)], outputs[:, used].T
    if positive and off_diagonal < 1:  # positive definite, as its diagonal part is
        merged[:, used] = np.linalg.solve(inner, targets).T
    elif inner.size:
        # Singular values below the rounding of float32 sums are noise.
        merged[:, used] = np.linalg.lstsq(inner, targets, rcond=_ROUNDING * len(inner))[0].T
    return merged


METHOD = Method(
    name="regmean",
    title="RegMean",
    paper="arXiv:2212.09849",
    summary="Finds the matrix whose outputs on calibration text come closest to those of every "
    "model; averages what is no module.",
    group="data",
    home="Tasks with a text at hand, and time to measure it.",
    parameters=RegmeanParameters,
    combination=Combination(regmean, statistics="gram"),
)
