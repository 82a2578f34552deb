"""DELLA: drop at random, small elements more often, then elect and average (arXiv:2406.11617)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.errors import InvalidValue
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import divide, drop_rate, rescale, scale, semantics
from dppa_core.methods.shared.ranking import ranks
from dppa_core.methods.shared.rescaling import Mask, match_sums
from dppa_core.methods.shared.sign_election import ballot_of
from dppa_core.methods.shared.sparse_sum import add_agreeing
from dppa_core.methods.shared.stack import (
    Combination,
    Deltas,
    Rows,
    Stack,
    Streamed,
    settings_of,
)
from dppa_core.parameter_fields import Parameters, check_fields, number

Probabilities: TypeAlias = Float64[ndarray, "rows columns"]


@dataclass(frozen=True, slots=True)
class DellaParameters(Parameters):
    """Settings of DELLA; the defaults are those of the authors' example."""

    drop: float = drop_rate(0.3, "The mean share of each delta's elements dropped.")
    window: float = number(
        0.14,
        title="Window",
        text="Drop rates run from half of this above the mean (a row's smallest element) to half "
        "of it below (the largest). mergekit's epsilon is that half.",
        unit="share",
        span=(0.0, 1.0, 0.01),
        own=True,
    )
    scale: float = scale(1.1)
    semantics: str = semantics(
        "paper: every survivor is divided by its own chance to survive. mergekit: all of a tensor "
        "by one number, and coefficients multiply before the election."
    )
    rescale: str = rescale("yes")
    divide: str = divide("coefficients", later=True)

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.window / 2 <= min(self.drop, 1 - self.drop) or self.drop + self.window / 2 >= 1:
            room = 2 * min(self.drop, 1 - self.drop)
            raise InvalidValue(
                f"window must be at most {room:.4g} at the drop rate {self.drop:g} and leave every "
                f"element a chance, got {self.window:g}: drop rates must lie in [0, 1)."
            )


Factors = Mapping[str, tuple[float, ...]]


def survey_della(tensors: Sequence[Streamed], parameters: DellaParameters) -> Factors:
    """For mergekit: tensor -> each model's factor of survivors that keeps the sum of |d|."""
    if parameters.semantics == "paper" or parameters.rescale == "no":
        return {}

    def survives(stack: Stack, model: int) -> Mask:
        size, own = np.abs(stack.deltas[model]), settings_of(stack, parameters)[model]
        return _survives(stack, model, drop_probabilities(size, stack, own))

    return {tensor.name: match_sums(tensor, survives) for tensor in tensors}


def drop_probabilities(size: Rows, stack: Stack, parameters: DellaParameters) -> Probabilities:
    """MagPrune: the drop probability of each element, linear in its rank in the row.

    A row of one element has the mean rate.
    """
    if not parameters.window:
        return np.full(size.shape, parameters.drop)
    last = size.shape[1] - 1
    place = ranks(size, stack) / last if last else np.full(size.shape, 0.5)
    return parameters.drop + parameters.window * (0.5 - place)


def _survives(stack: Stack, model: int, drops: Probabilities) -> Mask:
    uniform = (stack.draws(model) >> np.uint64(11)) * 2.0**-53
    return uniform < 1 - drops


def magprune(stack: Stack, parameters: DellaParameters, factors: Factors) -> Deltas:
    """The deltas with elements dropped by rank, and survivors rescaled."""
    pruned, by_model = [], settings_of(stack, parameters)
    for model, delta in enumerate(stack.deltas):
        drops = drop_probabilities(np.abs(delta), stack, by_model[model])
        if parameters.semantics == "mergekit":
            scaled = np.float32(factors[stack.name][model] if factors else 1.0) * delta
        else:
            scaled = (1 / (1 - drops)).astype(np.float32) * delta
        pruned.append(np.where(_survives(stack, model, drops), scaled, np.float32(0)))
    return np.stack(pruned)


def della(stack: Stack, parameters: DellaParameters, factors: Factors) -> Rows:
    """Drop by magnitude, elect signs, average the agreeing deltas."""
    left = magprune(stack, parameters, factors)
    if parameters.semantics == "mergekit":
        return add_agreeing(stack, left, parameters.divide, parameters.scale)
    ballot = ballot_of(stack.coefficients, weigh_first=False, undecided=0, divide=parameters.divide)
    return np.asarray(np.float32(parameters.scale) * replace(stack, deltas=left).agree((), ballot))


METHOD = Method(
    name="della",
    title="DELLA",
    paper="arXiv:2406.11617",
    summary="Drops delta entries at random, small ones more often, then averages those that "
    "agree with the elected sign.",
    group="sign",
    home="Small deltas with opposite signs, cut far.",
    parameters=DellaParameters,
    combination=Combination(della, survey_della),
    rounds=True,
)
