"""DOGE TA: one change of all deltas brings the merge closer to each (arXiv:2501.01230).

A change Δ is learned for each linear module: the squares of rowwise products of each delta with
(delta − merge) are made less by Adam, whose slopes have no part along the strongest outputs that
the deltas share. Then each model's largest elements, with Δ added, are summed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float32
from numpy import ndarray

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import density, scale
from dppa_core.methods.shared.ranking import find_cuts, inside
from dppa_core.methods.shared.singular import singular
from dppa_core.methods.shared.stack import Combination, Rows, Stack, Streamed
from dppa_core.methods.spectral.adam import Adam
from dppa_core.methods.spectral.matrices import Matrices, bounds_of, others, rest
from dppa_core.parameter_fields import Parameters, choice
from dppa_core.pruning.module_groups import layer_of
from dppa_core.pruning.tie_breaking import Cut
from dppa_core.system.threads import one_blas_thread

Single: TypeAlias = Float32[ndarray, "rows columns"]
Singles: TypeAlias = Float32[ndarray, "K rows columns"]
STEPS, RATE, SHARED_PART = 400, 1e-4, 6
"""Of Adam, and one of so many directions is shared: as in the authors' program."""


@dataclass(frozen=True, slots=True)
class DogeTaParameters(Parameters):
    """Settings of DOGE TA; the density is the authors'."""

    density: float = density(0.3, "The share of each model's elements that is kept, the largest.")
    sizes: str = choice(
        "mean",
        title="Size of a delta",
        text="Every delta of a module counts with the same norm. mean: that of their mean. one: "
        "1, as in the authors' program, with the scale 0.07.",
        choices=("mean", "one"),
    )
    scale: float = scale(1.0)
    others: str = others()


def survey_largest(tensors: Sequence[Streamed], parameters: DogeTaParameters) -> tuple[Cut, ...]:
    """The border of each model over all tensors of its layers; empty if everything is kept."""
    within = [tensor for tensor in tensors if layer_of(tensor.name) is not None] or [*tensors]
    if parameters.density >= 1:
        return ()
    count = round(parameters.density * sum(tensor.numel for tensor in within))
    return find_cuts(within, [count] * within[0].models, lambda stack: stack.deltas)


def doge_ta(stack: Stack, parameters: DogeTaParameters, cuts: tuple[Cut, ...]) -> Rows:
    """The merged delta of a linear module; of other tensors the mean or the sum."""
    deltas = stack.deltas if stack.inputs == 1 else stack.deltas.transpose(0, 2, 1)
    if not stack.is_matrix or not np.isfinite(deltas).all():
        return rest(stack, parameters)
    norms = np.sqrt(np.square(deltas, dtype=np.float64).sum(axis=(1, 2)))
    size = norms.mean() if parameters.sizes == "mean" else 1.0
    moved = [model for model, norm in enumerate(norms) if norm > 0]
    weights = [parameters.scale * size * stack.coefficients[n] / norms[n] for n in moved]
    change = learned_change(deltas[moved], weights, bounds_of(stack).rounding)
    merged = np.zeros(deltas.shape[1:])
    for model, weight in zip(moved, weights, strict=True):
        merged += weight * np.where(_kept(stack, cuts, model), deltas[model] + change, 0)
    return np.asarray(merged if stack.inputs == 1 else merged.T, np.float32)


def learned_change(deltas: Matrices, weights: Sequence[float], rounding: float = 0.0) -> Single:
    """Δ of one module, outputs x inputs. Its steps are float32, as in the authors' program.

    Args:
        rounding: See `Bounds`.
    """
    deltas, total = deltas.astype(np.float32, copy=False), float(sum(weights))
    change: Single = np.zeros(deltas.shape[1:], np.float32)
    if not total:
        return change
    with one_blas_thread():
        merged = np.tensordot(np.asarray(weights), deltas, 1)
        errors = [np.einsum("rc,rc->r", delta, delta - merged) for delta in deltas]
        slope = _slope_of(deltas, np.stack(errors).astype(np.float32), total, rounding)
        adam = Adam(RATE)
        for _ in range(STEPS):
            change = adam.step(change, slope(change))
    return change


def _slope_of(
    deltas: Singles, errors: Float32[ndarray, "K rows"], total: float, rounding: float
) -> Callable[[Single], Single]:
    """At a change, without its part along the shared outputs.

    Where every delta has few directions, as adapters do, all products are of these.
    """
    size = min(deltas.shape[1:])
    each = size // len(deltas)
    found = [singular(delta, each, rounding) for delta in deltas]
    outputs = np.hstack([parts.left for parts in found])
    shared = singular(outputs, size // SHARED_PART).left.astype(np.float32)

    def of_whole(change: Single) -> Single:
        slope = np.zeros_like(change)
        for delta, error in zip(deltas, errors, strict=True):
            left = error - total * np.einsum("rc,rc->r", delta, change)
            slope -= 2 * total * left[:, None] * delta
        return np.asarray(slope - shared @ (shared.T @ slope))

    if any(len(parts.values) == each for parts in found):
        return of_whole
    lefts = [(parts.left * parts.values).astype(np.float32) for parts in found]
    rights = np.vstack([parts.right for parts in found]).astype(np.float32)
    ends = np.cumsum([0, *(left.shape[1] for left in lefts)])

    def of_few(change: Single) -> Single:
        along, parts = change @ rights.T, []
        for left, error, start, end in zip(lefts, errors, ends, ends[1:], strict=False):
            rest_of = error - total * np.einsum("rk,rk->r", left, along[:, start:end])
            parts.append(-2 * total * rest_of[:, None] * left)
        slope = np.hstack(parts)
        return np.asarray((slope - shared @ (shared.T @ slope)) @ rights)

    return of_few


def _kept(stack: Stack, cuts: Sequence[Cut], model: int) -> Bool[ndarray, "rows columns"]:
    """The elements inside the model's border, outputs x inputs."""
    if not cuts:
        return np.ones(stack.base.shape if stack.inputs == 1 else stack.base.shape[::-1], bool)
    kept = inside(np.abs(stack.deltas[model]), cuts[model], stack)
    return kept if stack.inputs == 1 else kept.T


METHOD = Method(
    name="doge_ta",
    title="DOGE TA",
    paper="arXiv:2501.01230",
    summary="Adds one learned change to all deltas, so that their sum acts as each on its own.",
    group="spectral",
    home="Several full fine-tunes, and time: it takes 400 steps a module.",
    parameters=DogeTaParameters,
    combination=Combination(
        doge_ta, survey_largest, whole_model=lambda parameters: True, matrices=True
    ),
)
