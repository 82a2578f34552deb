"""DARE-TIES: drop at random and rescale, then TIES (arXiv:2311.03099).

As in the paper's program, all of TIES follows, including its trim. mergekit's method of this name
only elects signs and adds up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import (
    density,
    divide,
    drop_rate,
    ranked_in,
    rescale,
    scale,
    semantics,
)
from dppa_core.methods.shared.rescaling import Mask, match_sums
from dppa_core.methods.shared.sparse_sum import add_agreeing
from dppa_core.methods.shared.stack import (
    Combination,
    Own,
    Rows,
    Stack,
    Streamed,
    settings_of,
)
from dppa_core.methods.ties import TiesParameters, Trim, survey_ties, ties
from dppa_core.parameter_fields import Parameters
from dppa_core.pruning.tie_breaking import drop_cut


@dataclass(frozen=True, slots=True)
class DareTiesParameters(Parameters):
    """Settings of DARE-TIES; the defaults are those of the paper's program."""

    drop: float = drop_rate(0.1)
    density: float = density(
        0.2, "The share that TIES' trim keeps after the drop; mergekit does not trim.", own=True
    )
    ranked_in: str = ranked_in("What TIES' trim ranks elements in.", "model", "tensor")
    scale: float = scale(1.0)
    semantics: str = semantics(
        "mergekit: survivors are rescaled to the delta's own sum of |d| in each tensor, nothing is "
        "trimmed, and agreeing deltas are added, not averaged."
    )
    rescale: str = rescale("yes")
    divide: str = divide("nothing", later=True)


@dataclass(frozen=True, slots=True)
class Dropping:
    """Statistics of the survey over whole tensors."""

    trim: Trim | None
    """The trim of TIES after the drop."""
    factors: Mapping[str, tuple[float, ...]]
    """Tensor -> the factor of each model's survivors."""


def drop_at_random(
    stack: Stack, parameters: DareTiesParameters, factors: Sequence[float] | None = None
) -> Stack:
    """The stack with elements dropped by the draws of dare, and survivors multiplied.

    Args:
        factors: Of each model; None for one over the share that survives.
    """
    factors = factors or [1 / (1 - own.drop) for own in settings_of(stack, parameters)]
    kept = [
        np.where(_survives(parameters, stack, model), np.float32(factor) * delta, np.float32(0))
        for model, (delta, factor) in enumerate(zip(stack.deltas, factors, strict=True))
    ]
    return replace(stack, deltas=np.stack(kept))


def _survives(parameters: DareTiesParameters, stack: Stack, model: int) -> Mask:
    rate = settings_of(stack, parameters)[model].drop
    return stack.draws(model) < np.uint64(drop_cut(rate))


def survey_dare_ties(tensors: Sequence[Streamed], parameters: DareTiesParameters) -> Dropping:
    """TIES' survey of the survivors; for mergekit the factors of every tensor."""
    if parameters.semantics == "mergekit":
        survives, match = partial(_survives, parameters), parameters.rescale == "yes"
        factors = {
            tensor.name: match_sums(tensor, survives) if match else (1.0,) * tensor.models
            for tensor in tensors
        }
        return Dropping(None, factors)
    left = [_dropped(tensor, parameters) for tensor in tensors]
    return Dropping(survey_ties(left, _ties(parameters)), {})


def _dropped(tensor: Streamed, parameters: DareTiesParameters) -> Streamed:
    def stacks() -> Iterator[Stack]:
        return (_trimmable(stack, parameters) for stack in tensor.stacks())

    return replace(tensor, stacks=stacks, own=_densities(tensor.own))


def _trimmable(stack: Stack, parameters: DareTiesParameters) -> Stack:
    return replace(drop_at_random(stack, parameters), own=_densities(stack.own))


def _densities(own: Own) -> Own:
    """What TIES takes of the models' own settings."""
    return tuple({key: v for key, v in values.items() if key == "density"} for values in own)


def _ties(parameters: DareTiesParameters) -> TiesParameters:
    return TiesParameters(parameters.density, parameters.ranked_in, parameters.scale)


def dare_ties(stack: Stack, parameters: DareTiesParameters, dropping: Dropping) -> Rows:
    """Drop, then merge as TIES does."""
    if dropping.trim is not None:
        return ties(_trimmable(stack, parameters), _ties(parameters), dropping.trim)
    left = drop_at_random(stack, parameters, dropping.factors[stack.name])
    return add_agreeing(stack, left.deltas, parameters.divide, parameters.scale)


METHOD = Method(
    name="dare_ties",
    title="DARE-TIES",
    paper="arXiv:2311.03099",
    summary="Drops delta entries at random and rescales the others, then merges them by TIES.",
    group="sign",
    home="Small deltas with opposite signs.",
    parameters=DareTiesParameters,
    combination=Combination(
        dare_ties, survey_dare_ties, lambda parameters: parameters.semantics == "paper"
    ),
    rounds=True,
)
