"""TIES: trim, elect a sign, average the deltas that agree (arXiv:2306.01708)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import density, ranked_in, rescale, scale, semantics
from dppa_core.methods.shared.ranking import find_cuts, inside
from dppa_core.methods.shared.rescaling import Mask, match_sums
from dppa_core.methods.shared.sign_election import SignBallot, ballot_of
from dppa_core.methods.shared.stack import (
    Combination,
    Deltas,
    Rows,
    Stack,
    Streamed,
    settings_of,
)
from dppa_core.parameter_fields import Parameters, choice
from dppa_core.pruning.tie_breaking import Cut


@dataclass(frozen=True, slots=True)
class TiesParameters(Parameters):
    """Settings of TIES; the defaults are the paper's."""

    density: float = density(0.2, own=True)
    ranked_in: str = ranked_in(
        "Rank elements in the whole model, as in the paper, or in each tensor, as in mergekit.",
        "model",
        "tensor",
    )
    scale: float = scale(1.0)
    divide: str = choice(
        "coefficients",
        title="Divide by",
        text="What divides the sum of agreeing deltas: their coefficients (equal ones cancel out), "
        "their number (every coefficient scales its delta), or nothing.",
        choices=("coefficients", "number", "nothing"),
    )
    semantics: str = semantics(
        "paper: coefficients weigh the mean only; an undecided sign is the majority of all. "
        "mergekit: elements are ranked in each tensor, coefficients multiply before the election, "
        "an undecided sign is plus."
    )
    rescale: str = rescale("no")


@dataclass(frozen=True, slots=True)
class Trim:
    """The survey of TIES over whole tensors."""

    cuts: Mapping[str, tuple[Cut, ...]]
    """Tensor -> the border of each model; empty if nothing is trimmed."""
    majority: int
    """The majority of elected signs in the whole model, used for undecided positions."""
    factors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Tensor -> the factor of each model's elements that stay; empty for 1."""


def survey_ties(tensors: Sequence[Streamed], parameters: TiesParameters) -> Trim:
    """Find the borders of the trim, then count the elections of the whole model."""
    if parameters.semantics == "mergekit":
        cuts = find_trim(tensors, parameters, "tensor", at_least_one)
        return Trim(cuts, 1, _factors(tensors, cuts) if parameters.rescale == "yes" else {})
    cuts = find_trim(tensors, parameters, parameters.ranked_in)
    return Trim(cuts, _majority(tensors, cuts))


def at_least_one(count: float) -> int:
    """Rounded down, but one if a part of one is to stay, as in mergekit."""
    return max(math.floor(count), 1) if count > 0 else 0


def find_trim(
    tensors: Sequence[Streamed],
    parameters: TiesParameters,
    over: str,
    rounded: Callable[[float], int] = round,
) -> Mapping[str, tuple[Cut, ...]]:
    """Tensor -> the border of each model, where the elements that its density keeps end."""
    groups = [tensors] if over == "model" else [(tensor,) for tensor in tensors]
    borders = {}
    for group in groups:
        numel = sum(tensor.numel for tensor in group)
        shares = _densities(group, parameters)
        if min(shares) < 1:
            counts = [rounded(share * numel) for share in shares]
            cuts = find_cuts(group, counts, lambda stack: stack.deltas)
            borders.update({tensor.name: cuts for tensor in group})
    return borders


def _densities(group: Sequence[Streamed], parameters: TiesParameters) -> list[float]:
    """The share of elements that each model keeps in some tensors."""
    by_tensor = [[own.density for own in settings_of(tensor, parameters)] for tensor in group]
    if all(densities == by_tensor[0] for densities in by_tensor):
        return by_tensor[0]
    return list(np.average(by_tensor, axis=0, weights=[tensor.numel for tensor in group]))


def _factors(
    tensors: Sequence[Streamed], cuts: Mapping[str, tuple[Cut, ...]]
) -> Mapping[str, tuple[float, ...]]:
    def survives(stack: Stack, model: int) -> Mask:
        return inside(np.abs(stack.deltas[model]), cuts[stack.name][model], stack)

    return {tensor.name: match_sums(tensor, survives) for tensor in tensors if tensor.name in cuts}


def _majority(tensors: Sequence[Streamed], cuts: Mapping[str, tuple[Cut, ...]]) -> int:
    votes = 0
    for tensor in tensors:
        for stack in tensor.stacks():
            votes += stack.vote(cuts.get(tensor.name, ()))
    return int(np.sign(votes))


def ties(stack: Stack, parameters: TiesParameters, trim: Trim) -> Rows:
    """Merge the trimmed deltas that agree with the elected signs."""
    ballot = ballot_of(
        stack.coefficients,
        weigh_first=parameters.semantics == "mergekit",
        undecided=trim.majority,
        divide=parameters.divide,
    )
    if stack.name in trim.factors:
        scaled = np.multiply(trim.factors[stack.name], stack.coefficients).tolist()
        ballot = replace(ballot, votes=tuple(scaled), weights=tuple(scaled))
    merged = stack.agree(trim.cuts.get(stack.name, ()), ballot)
    merged *= np.float32(parameters.scale)
    return merged


def agreeing(stack: Stack, parameters: TiesParameters, trim: Trim) -> Deltas:
    """The part of each delta left after trim and election, before its coefficient."""
    cuts, votes = trim.cuts.get(stack.name, ()), (1.0,) * len(stack.models)
    weights_of_one = np.eye(len(stack.models)).tolist()
    parts: Deltas = np.stack(
        [
            stack.agree(cuts, SignBallot(votes, (*weights,), (*weights,), trim.majority, False))
            for weights in weights_of_one
        ]
    )
    parts *= np.float32(parameters.scale)
    return parts


METHOD = Method(
    name="ties",
    title="TIES",
    paper="arXiv:2306.01708",
    summary="Keeps the largest delta entries of every model, elects a sign for each position, "
    "and averages the deltas that agree.",
    group="sign",
    home="Models whose changes have opposite signs.",
    parameters=TiesParameters,
    combination=Combination(
        ties,
        survey_ties,
        lambda parameters: parameters.semantics == "paper",
        adds=lambda parameters: parameters.divide == "nothing" and parameters.semantics == "paper",
        parts=agreeing,
    ),
    rounds=True,
)
