"""DARE-TIES: drop at random and rescale, then TIES (arXiv:2311.03099).

As in the paper's program, all of TIES follows, including its trim. mergekit's method of this name
only elects signs and adds up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import density, drop_rate, ranked_in, scale, semantics
from dppa_core.methods.shared.rescaling import Mask, match_sums
from dppa_core.methods.shared.sign_election import ballot_of
from dppa_core.methods.shared.stack import Combination, Rows, Stack, Streamed
from dppa_core.methods.ties import TiesParameters, Trim, survey_ties, ties
from dppa_core.parameter_fields import Parameters
from dppa_core.pruning.tie_breaking import drop_cut


@dataclass(frozen=True, slots=True)
class DareTiesParameters(Parameters):
    """Settings of DARE-TIES; the defaults are those of the paper's program."""

    drop: float = drop_rate(0.1)
    density: float = density(
        0.2, "The share that TIES' trim keeps after the drop; mergekit does not trim."
    )
    ranked_in: str = ranked_in("What TIES' trim ranks elements in.", "model", "tensor")
    scale: float = scale(1.0)
    semantics: str = semantics(
        "mergekit: survivors are rescaled to the delta's own sum of |d| in each tensor, nothing is "
        "trimmed, and agreeing deltas are added, not averaged."
    )


@dataclass(frozen=True, slots=True)
class Dropping:
    """Statistics of the survey over whole tensors."""

    trim: Trim | None
    """The trim of TIES after the drop."""
    factors: Mapping[str, tuple[float, ...]]
    """Tensor -> the factor of each model's survivors."""


def drop_at_random(stack: Stack, rate: float, factors: Sequence[float]) -> Stack:
    """The stack with elements dropped by the draws of dare, and survivors multiplied."""
    kept = [
        np.where(_survives(stack, model, rate), np.float32(factor) * delta, np.float32(0))
        for model, (delta, factor) in enumerate(zip(stack.deltas, factors, strict=True))
    ]
    return replace(stack, deltas=np.stack(kept))


def _survives(stack: Stack, model: int, rate: float) -> Mask:
    return stack.draws(model) < np.uint64(drop_cut(rate))


def survey_dare_ties(tensors: Sequence[Streamed], parameters: DareTiesParameters) -> Dropping:
    """TIES' survey of the survivors; for mergekit the factors of every tensor."""
    if parameters.semantics == "mergekit":

        def survives(stack: Stack, model: int) -> Mask:
            return _survives(stack, model, parameters.drop)

        return Dropping(None, {tensor.name: match_sums(tensor, survives) for tensor in tensors})
    left = [_dropped(tensor, parameters.drop) for tensor in tensors]
    return Dropping(survey_ties(left, _ties(parameters)), {})


def _dropped(tensor: Streamed, rate: float) -> Streamed:
    def stacks() -> Iterator[Stack]:
        return (_by_rate(stack, rate) for stack in tensor.stacks())

    return replace(tensor, stacks=stacks)


def _by_rate(stack: Stack, rate: float) -> Stack:
    return drop_at_random(stack, rate, [1 / (1 - rate)] * len(stack.models))


def _ties(parameters: DareTiesParameters) -> TiesParameters:
    return TiesParameters(parameters.density, parameters.ranked_in, parameters.scale)


def dare_ties(stack: Stack, parameters: DareTiesParameters, dropping: Dropping) -> Rows:
    """Drop, then merge as TIES does."""
    if dropping.trim is not None:
        return ties(_by_rate(stack, parameters.drop), _ties(parameters), dropping.trim)
    left = drop_at_random(stack, parameters.drop, dropping.factors[stack.name])
    ballot = ballot_of(left.coefficients, weigh_first=True, undecided=1, divide="nothing")
    merged = left.agree((), ballot)
    return np.float32(parameters.scale) * merged


METHOD = Method(
    name="dare_ties",
    title="DARE-TIES",
    paper="arXiv:2311.03099",
    summary="Drops delta entries at random and rescales the others, then merges them by TIES.",
    group="sign",
    parameters=DareTiesParameters,
    combination=Combination(
        dare_ties, survey_dare_ties, lambda parameters: parameters.semantics == "paper"
    ),
)
