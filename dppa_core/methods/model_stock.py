"""Model Stock: from the base towards the mean, by the angles between models (arXiv:2403.19522)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.inner_products import (
    Products,
    Shares,
    add_deltas,
    inner_products,
    norms_of,
    of_deltas,
)
from dppa_core.methods.shared.stack import Combination, Rows, Stack, Streamed
from dppa_core.parameter_fields import Parameters, choice

SMALLEST_NORMS, SINGULAR = 1e-6, 1e-6
"""As in mergekit: the least product of two norms, and a divisor at which the base stays."""


@dataclass(frozen=True, slots=True)
class ModelStockParameters(Parameters):
    """Settings of Model Stock."""

    angles_of: str = choice(
        "tensor",
        title="Angles of",
        text="Angles between whole tensors, or between their rows (filter_wise in mergekit).",
        choices=("tensor", "row"),
    )


def survey_model_stock(
    tensors: Sequence[Streamed], parameters: ModelStockParameters
) -> Mapping[str, Shares]:
    """The share of every delta, one for each row if angles are of rows."""
    along = parameters.angles_of
    return {
        tensor.name: stock_shares(inner_products(tensor, _weighted, along)) for tensor in tensors
    }


def _weighted(stack: Stack) -> np.ndarray:
    return of_deltas(replace(stack, deltas=stack.weighted()))


def stock_shares(products: Products) -> Shares:
    """t / N, with t = N cos / (1 + (N - 1) cos) and the mean cosine of all pairs."""
    count, norms = products.shape[-1], norms_of(products)
    if count == 1:
        return np.ones(norms.shape)
    cosines = [
        products[..., i, j] / np.maximum(norms[..., i] * norms[..., j], SMALLEST_NORMS)
        for i, j in combinations(range(count), 2)
    ]
    cosine = np.mean(np.clip(cosines, -1, 1), axis=0)[..., None]
    divisor = 1 + (count - 1) * cosine
    singular = np.abs(divisor) < SINGULAR
    share = np.where(singular, 0.0, cosine / np.where(singular, 1.0, divisor))
    return np.broadcast_to(share, norms.shape)


def model_stock(
    stack: Stack, parameters: ModelStockParameters, shares: Mapping[str, Shares]
) -> Rows:
    """The mean of the deltas, shortened the more the wider their angle."""
    weighted = replace(stack, deltas=stack.weighted())
    return add_deltas(weighted, shares[stack.name], parameters.angles_of)


METHOD = Method(
    name="model_stock",
    title="Model Stock",
    paper="arXiv:2403.19522",
    summary="Goes from the base towards the mean of the models, as far as their angle says.",
    group="spherical",
    home="Several fine-tunes of one base for one task.",
    parameters=ModelStockParameters,
    combination=Combination(model_stock, survey_model_stock),
    rounds=True,
)
