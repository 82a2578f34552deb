"""Karcher mean: the point of a sphere from which the ways to all models add up to 0.

It averages the models' directions (arXiv:2603.04972); the size is the mean of their norms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.methods.linear import NO_MEAN
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.inner_products import (
    Products,
    Shares,
    add_models,
    norms_of,
    products_of,
)
from dppa_core.methods.shared.stack import Combination, Rows, Stack
from dppa_core.parameter_fields import Parameters, number, whole_number

Mean = Float64[ndarray, " K"]
"""A point as a sum of the models' directions."""


@dataclass(frozen=True, slots=True)
class KarcherParameters(Parameters):
    """Settings of the Karcher mean; the defaults are mergekit's."""

    max_iter: int = whole_number(
        10,
        title="Most steps",
        text="The mean is sought in at most so many steps.",
        unit="steps",
        span=(0, 1000),
    )
    tol: float = number(
        1e-5,
        title="Tolerance",
        text="Norms, angles and steps below this are 0.",
        span=(1e-12, 0.1, 1e-5),
    )


def karcher_shares(
    products: Products, weights: Sequence[float], parameters: KarcherParameters
) -> Shares:
    """The share of every model: the mean direction times the mean of the norms."""
    norms, shares, every = norms_of(products), np.zeros(len(products)), np.array(weights)
    valid = np.flatnonzero(norms > parameters.tol)
    total = every[valid].sum()
    if abs(total) < NO_MEAN:
        return shares
    cosines = products[np.ix_(valid, valid)] / np.outer(norms[valid], norms[valid])
    mean = _mean_direction(cosines, every[valid] / total, parameters)
    shares[valid] = mean * (every @ norms) / norms[valid]
    return shares


def _mean_direction(cosines: Products, alphas: Mean, parameters: KarcherParameters) -> Mean:
    """Steps along the mean of the ways to all models, from their weighted mean on."""

    def norm(point: Mean) -> float:
        return float(np.sqrt(max(point @ cosines @ point, 0.0)))

    tol, length = parameters.tol, norm(alphas)
    mean: Mean = np.eye(len(alphas))[0] if length < tol else alphas / length
    for _ in range(parameters.max_iter):
        dots = np.clip(cosines @ mean, -1, 1)
        angles = np.arccos(dots)
        far = (angles >= tol) & (np.pi - angles >= tol)  # no way leads to the opposite point
        ways = np.where(far, alphas * angles / np.where(far, np.sin(angles), 1.0), 0.0)
        step = ways - (ways @ dots) * mean
        length = norm(step)
        if length < tol:
            break
        mean = np.cos(length) * mean + np.sin(length) * step / length
        mean = mean / norm(mean)
    return mean


def karcher(stack: Stack, parameters: KarcherParameters, products: Mapping[str, Products]) -> Rows:
    """The models times their shares, minus the base; the base stays without a sum of weights."""
    total = sum(stack.coefficients)
    if abs(total) < NO_MEAN:
        return np.zeros_like(stack.base)
    weights = [coefficient / total for coefficient in stack.coefficients]
    return add_models(stack, karcher_shares(products[stack.name], weights, parameters))


METHOD = Method(
    name="karcher",
    title="Karcher mean",
    paper="arXiv:2603.04972",
    summary="Finds the middle of the models on a sphere, and gives it the mean of their sizes.",
    group="spherical",
    home="Three or more whole models far from each other.",
    parameters=KarcherParameters,
    combination=Combination(karcher, lambda tensors, parameters: products_of(tensors)),
    rounds=True,
)
