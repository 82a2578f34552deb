"""RAM+ by tensor: as RAM, but what a single model changed counts more (arXiv:2601.13572).

The more of a model's changes are shared in a tensor, the more those are amplified that are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.methods.ram import changed, smallest_change
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.stack import Combination, Rows, Stack, Streamed
from dppa_core.parameter_fields import Parameters, number


@dataclass(frozen=True, slots=True)
class RamplusTlParameters(Parameters):
    """Settings of RAM+; the defaults are mergekit's."""

    r: float = number(
        0.1,
        title="Amplification",
        text="How much of its own changes a model gets more, for each change shared per own (r).",
        span=(0.0, 10.0, 0.05),
    )
    alpha: float = number(
        0.2,
        title="Most shared per own",
        text="That ratio counts up to this (alpha).",
        span=(0.0, 10.0, 0.05),
    )
    epsilon: float = smallest_change()


Factors = Mapping[str, Float64[ndarray, " K"]]


def survey_ramplus_tl(tensors: Sequence[Streamed], parameters: RamplusTlParameters) -> Factors:
    """Tensor -> the factor of each model's own changes."""
    return {tensor.name: _factors(tensor, parameters) for tensor in tensors}


def _factors(tensor: Streamed, parameters: RamplusTlParameters) -> Float64[ndarray, " K"]:
    shared, own = np.zeros((2, tensor.models))
    for stack in tensor.stacks():
        by_model, count = changed(stack.weighted(), parameters.epsilon)
        shared += (by_model & (count > 1)).sum(axis=(1, 2))
        own += (by_model & (count == 1)).sum(axis=(1, 2))
    ratio = shared / np.maximum(own, parameters.epsilon or 1e-5)
    factors: Float64[ndarray, " K"] = 1 + parameters.r * np.clip(ratio, 0, parameters.alpha)
    return factors


def ramplus_tl(stack: Stack, parameters: RamplusTlParameters, factors: Factors) -> Rows:
    """The mean of shared changes, and single ones times their model's factor."""
    deltas = stack.weighted()
    by_model, count = changed(deltas, parameters.epsilon)
    of_models = factors[stack.name].astype(np.float32)[:, None, None]
    shares = np.where(count == 1, of_models, np.float32(1) / np.maximum(count, 1))
    merged: Rows = np.where(by_model, shares * deltas, np.float32(0)).sum(axis=0, dtype=np.float32)
    return merged


METHOD = Method(
    name="ramplus_tl",
    title="RAM+ by tensor",
    paper="arXiv:2601.13572",
    summary="Averages changes as RAM does, and amplifies those that one model alone made.",
    group="sparse",
    home="As RAM, where models share many changes.",
    parameters=RamplusTlParameters,
    combination=Combination(ramplus_tl, survey_ramplus_tl),
)
