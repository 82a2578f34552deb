"""SCE: select by variance, calculate coefficients, erase the minority (arXiv:2408.07990)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import density, semantics
from dppa_core.methods.shared.ranking import find_cuts, inside
from dppa_core.methods.shared.sign_election import SignBallot
from dppa_core.methods.shared.stack import Combination, Deltas, Rows, Stack, Streamed
from dppa_core.parameter_fields import Parameters
from dppa_core.pruning.tie_breaking import Cut

MERGEKIT_FLOOR = 1e-6
"""Below this sum of mean squares mergekit weighs all models equally; light fine-tunes lie below. It
is also mergekit's smallest divisor if few models agree."""


@dataclass(frozen=True, slots=True)
class SceParameters(Parameters):
    """Settings of SCE; the defaults are the paper's."""

    density: float = density(
        0.1,
        "The share that is selected of the positions on which models differ: those with the "
        "largest variance. 1 selects all.",
        own="alike",
    )
    semantics: str = semantics(
        "reference: the selection decides the models' weights, but all elements are merged. "
        "mergekit: as the paper, but models weigh alike where deltas are small, and the count of "
        "positions is rounded down.",
        "reference",
        "mergekit",
    )


@dataclass(frozen=True, slots=True)
class Calculated:
    """The survey of one tensor."""

    cut: Cut | None
    """The border of the selection; None if all positions are selected."""
    weights: tuple[float, ...]
    """Weights of the models, with the sum 1."""


def survey_sce(tensors: Sequence[Streamed], parameters: SceParameters) -> Mapping[str, Calculated]:
    """Select the positions of every tensor and weigh the models on them."""
    surveys = {}
    for tensor in tensors:
        cut = _find_cut(tensor, parameters)
        squares = sum(_squares(stack, cut) for stack in tensor.stacks())
        means = np.asarray(squares) / tensor.numel
        floor = MERGEKIT_FLOOR if parameters.semantics == "mergekit" else 0.0
        total = float(means.sum())
        weights = means / total if total > floor else np.full(means.size, 1 / means.size)
        surveys[tensor.name] = Calculated(cut, tuple(weights.tolist()))
    return surveys


def _squares(stack: Stack, cut: Cut | None) -> ndarray:
    selected = select(stack, cut)
    return np.array([np.square(delta, dtype=np.float64).sum() for delta in selected])


def _find_cut(tensor: Streamed, parameters: SceParameters) -> Cut | None:
    share = parameters.density
    if share == 1 or tensor.models == 1:  # a single model has no variance
        return None
    differing = sum(int(np.count_nonzero(variance(stack))) for stack in tensor.stacks())
    count = round(share * differing)
    if parameters.semantics == "mergekit":
        count = int(np.float32(share) * np.float32(differing))  # float32, rounded down
    return find_cuts((tensor,), [count], variance)[0]


def variance(stack: Stack) -> Float32[ndarray, "1 rows columns"]:
    """The variance of every position across the models' deltas."""
    return np.asarray(stack.weighted().var(axis=0, dtype=np.float64).astype(np.float32)[None])


def select(stack: Stack, cut: Cut | None) -> Deltas:
    """The deltas, coefficients included, at the selected positions; 0 elsewhere."""
    deltas = stack.weighted()
    if cut is None:
        return deltas
    selected = inside(variance(stack)[0], cut, stack)
    return np.where(selected, deltas, np.float32(0))


def sce(stack: Stack, parameters: SceParameters, surveys: Mapping[str, Calculated]) -> Rows:
    """The weighted mean of the deltas that agree with the elected sign."""
    calculated = surveys[stack.name]
    cut = None if parameters.semantics == "reference" else calculated.cut
    selected = replace(stack, deltas=select(stack, cut))
    weights = tuple(np.array(calculated.weights, np.float32).tolist())
    ballot = SignBallot(
        (1.0,) * len(weights),
        weights,
        weights,
        0 if parameters.semantics == "paper" else 1,
        least=MERGEKIT_FLOOR if parameters.semantics == "mergekit" else 0.0,
    )
    return selected.agree((), ballot)


METHOD = Method(
    name="sce",
    title="SCE",
    paper="arXiv:2408.07990",
    summary="Selects the positions on which models differ most, weighs models by what they "
    "changed there, and erases the minority.",
    group="sign",
    home="Several models that differ at few positions.",
    parameters=SceParameters,
    combination=Combination(sce, survey_sce),
    rounds=True,
)
