"""NuSLERP: turn one model into another by weights, whole or by row or column.

mergekit's successor of slerp: it turns deltas where it has a base, the models themselves where not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dppa_core.errors import InvalidValue
from dppa_core.methods.shared.contract import Coefficients, Method
from dppa_core.methods.shared.fields import turned
from dppa_core.methods.shared.inner_products import (
    Products,
    Shares,
    add_turned,
    norms_of,
    products_of,
)
from dppa_core.methods.shared.stack import Combination, Rows, Stack, Streamed
from dppa_core.parameter_fields import Parameters, choice

NO_SUM, SMALLEST_NORM, COLINEAR = 1e-6, 1e-7, 1e-8
"""As in mergekit: a sum of weights that has no shares, the least norm, and the sine of vectors
between which the way is straight."""


@dataclass(frozen=True, slots=True)
class NuslerpParameters(Parameters):
    """Settings of NuSLERP."""

    turned: str = turned()
    vectors: str = choice(
        "tensor",
        title="Vectors",
        text="What is turned as one vector: a tensor, each of its rows, or each column "
        "(nuslerp_row_wise in mergekit).",
        choices=("tensor", "row", "column"),
    )


def survey_nuslerp(
    tensors: Sequence[Streamed], parameters: NuslerpParameters
) -> Mapping[str, Products]:
    """The products of the two models, or of their deltas, for each vector."""
    return products_of(tensors, parameters.turned, parameters.vectors)


def _cosines(products: Products) -> np.ndarray:
    if products.shape[-1] == 1:
        return np.ones(products.shape[:-2])
    norms = np.maximum(norms_of(products), SMALLEST_NORM)
    cosines = products[..., 0, 1] / (norms[..., 0] * norms[..., 1])
    return np.asarray(np.clip(cosines, -1, 1))


def turn_shares(cosines: np.ndarray, weights: Sequence[float]) -> Shares:
    """sin((1 - t) omega) / sin(omega) and sin(t omega) / sin(omega), for t by the weights."""
    if len(weights) == 1:
        return np.ones((*cosines.shape, 1))
    total = sum(weights)
    t = weights[1] / total if abs(total) >= NO_SUM else 0.5
    colinear = 1 - cosines**2 <= COLINEAR**2
    omega = np.arccos(np.where(colinear, 0.0, cosines))
    first, second = (
        np.where(colinear, part, np.sin(part * omega) / np.sin(omega)) for part in (1 - t, t)
    )
    return np.stack([first, second], axis=-1)


def nuslerp(stack: Stack, parameters: NuslerpParameters, products: Mapping[str, Products]) -> Rows:
    """The two models, or their deltas, times the shares of the arc."""
    shares = turn_shares(_cosines(products[stack.name]), stack.coefficients)
    return add_turned(stack, shares, parameters.turned, parameters.vectors)


def check_pair(parameters: NuslerpParameters, models: Coefficients) -> None:
    """Refuse more than two models."""
    if len(models) > 2:
        raise InvalidValue(
            f"nuslerp turns one model into one other, got {len(models)} domain models. Use "
            "multislerp for more."
        )


METHOD = Method(
    name="nuslerp",
    title="NuSLERP",
    paper="",
    summary="Turns the delta of one model into that of another, as far as their weights say.",
    group="spherical",
    home="Two models whose deltas point apart and should keep their size.",
    parameters=NuslerpParameters,
    combination=Combination(nuslerp, survey_nuslerp),
    rounds=True,
    check=check_pair,
)
