"""Multi-SLERP: the weighted mean of directions, with the mean of norms.

mergekit projects the unit vectors on the plane that touches the sphere at their weighted mean, adds
them up there by their weights, and goes back. There they add up to 0 by the choice of that plane,
so what is merged is the mean itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import divide, turned
from dppa_core.methods.shared.inner_products import (
    Products,
    Shares,
    add_turned,
    norms_of,
    products_of,
)
from dppa_core.methods.shared.stack import Combination, Rows, Stack
from dppa_core.parameter_fields import Parameters, number

NO_SUM = 1e-8
"""A smaller sum of coefficients has no shares: they count as they are."""


@dataclass(frozen=True, slots=True)
class MultislerpParameters(Parameters):
    """Settings of Multi-SLERP."""

    turned: str = turned()
    divide: str = divide("coefficients")
    eps: float = number(
        1e-8,
        title="Smallest norm",
        text="Added to every norm. Directions whose mean is shorter are averaged as they are.",
        span=(1e-12, 0.01, 1e-8),
    )


def sphere_shares(products: Products, weights: Sequence[float], eps: float) -> Shares:
    """The mean of directions, times the weighted mean of norms; the plain mean if it has none."""
    norms, mean = norms_of(products), np.array(weights)
    directions = mean / (norms + eps)
    length = np.sqrt(max(directions @ products @ directions, 0.0))
    return directions * (norms @ mean) / length if length >= eps else mean


def multislerp(
    stack: Stack, parameters: MultislerpParameters, products: Mapping[str, Products]
) -> Rows:
    """The models, or their deltas, times their shares."""
    total = sum(stack.coefficients)
    divisor = total if parameters.divide == "coefficients" and abs(total) >= NO_SUM else 1.0
    weights = [coefficient / divisor for coefficient in stack.coefficients]
    shares = sphere_shares(products[stack.name], weights, parameters.eps)
    return add_turned(stack, shares, parameters.turned)


METHOD = Method(
    name="multislerp",
    title="Multi-SLERP",
    paper="",
    summary="Averages the directions of any number of deltas, and their norms.",
    group="spherical",
    home="Three or more models whose deltas point apart.",
    parameters=MultislerpParameters,
    combination=Combination(
        multislerp, lambda tensors, parameters: products_of(tensors, parameters.turned)
    ),
    rounds=True,
)
