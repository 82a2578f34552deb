"""WUDI: the matrix that interferes least with every model's own inputs (arXiv:2503.08099).

The inputs of a linear module that a training saw lie near the span of its delta's rows. So the
merged delta minus a model's should vanish on them: the sum over the models of
‖(merged − delta) deltaᵀ‖² ÷ ‖delta‖² is made least.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import scale
from dppa_core.methods.shared.singular import NOISE
from dppa_core.methods.spectral.adam import Adam
from dppa_core.methods.spectral.matrices import Bounds, Matrices, Matrix, added, by_matrix, others
from dppa_core.parameter_fields import Parameters, choice
from dppa_core.system.threads import one_blas_thread

STEPS, RATE = 300, 1e-5
"""Of Adam, as in the authors' program."""


@dataclass(frozen=True, slots=True)
class WudiParameters(Parameters):
    """Settings of WUDI."""

    solver: str = choice(
        "exact",
        title="Solver",
        text="exact: the least-squares solution. adam: 300 steps of 0.00001 from the sum, as in "
        "the authors' program.",
        choices=("exact", "adam"),
    )
    scale: float = scale(1.0)
    others: str = others()


class _Problem(NamedTuple):
    """Find the merged delta whose product with a symmetric matrix is a target."""

    solve: Callable[[float], Matrix]
    """The solution of least norm, without squares of singular values up to a number."""
    slope: Callable[[Matrix], Matrix]
    """Of the loss, at a merged delta."""


def wudi(deltas: Matrices, parameters: WudiParameters, bounds: Bounds) -> Matrix:
    """The merged delta; deltas of norm 0 say nothing."""
    every = [delta.astype(np.float64) for delta in deltas if delta.any()]
    if not every:
        return np.zeros(deltas.shape[1:])
    with one_blas_thread():
        tall = len(every) * every[0].shape[0] > every[0].shape[1]
        problem = _by_inputs(every) if tall else _by_rows(every)
        if parameters.solver == "adam":
            return _adam(problem, added(deltas))
        # Squares of singular values of the rows up to this are rounding of the weights.
        return problem.solve(float(bounds.rounding / min(map(np.linalg.norm, every))) ** 2)


def _by_rows(deltas: Sequence[Matrix]) -> _Problem:
    """With every delta divided by its norm, one below the other: rows."""
    rows = np.vstack([delta / np.linalg.norm(delta) for delta in deltas])
    targets = np.hstack([delta @ delta.T / np.linalg.norm(delta) for delta in deltas])
    return _Problem(
        lambda least: np.asarray(targets @ _inverse(rows @ rows.T, least) @ rows),
        lambda merged: np.asarray(2 * (merged @ rows.T - targets) @ rows),
    )


def _by_inputs(deltas: Sequence[Matrix]) -> _Problem:
    """The same where inputs are fewer than all rows: nothing is larger than a delta."""
    gram, target = np.zeros((deltas[0].shape[1],) * 2), np.zeros(deltas[0].shape)
    for delta in deltas:
        part = delta.T @ delta / np.square(delta).sum()
        gram += part
        target += delta @ part
    return _Problem(
        lambda least: np.asarray(target @ _inverse(gram, least)),
        lambda merged: np.asarray(2 * (merged @ gram - target)),
    )


def _inverse(gram: Matrix, least: float) -> Matrix:
    squares, vectors = np.linalg.eigh(gram)
    above = squares > max(squares[-1] * NOISE**2, least)
    kept = vectors[:, above]
    return np.asarray(kept / squares[above] @ kept.T)


def _adam(problem: _Problem, merged: Matrix) -> Matrix:
    adam = Adam(RATE)
    for _step in range(STEPS):
        merged = adam.step(merged, problem.slope(merged))
    return merged


METHOD = Method(
    name="wudi",
    title="WUDI",
    paper="arXiv:2503.08099",
    summary="Finds the matrix closest to each model's on that model's own inputs.",
    group="spectral",
    home="Full fine-tunes whose sum makes each forget its own.",
    parameters=WudiParameters,
    combination=by_matrix(wudi),
)
