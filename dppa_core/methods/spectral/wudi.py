"""WUDI: the matrix that interferes least with every model's own inputs (arXiv:2503.08099).

The inputs of a linear module that a training saw lie near the span of its delta's rows. So the
merged delta minus a model's should vanish on them: the sum over the models of
‖(merged − delta) deltaᵀ‖² ÷ ‖delta‖² is made least.
"""

from __future__ import annotations

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
    """Find the merged delta whose product with rowsᵀ is the targets."""

    rows: Matrix
    """Every delta divided by its norm, one below the other: all rows x inputs."""
    targets: Matrix
    """Every delta's product with its own part of these: outputs x all rows."""
    least: float
    """Squares of singular values of the rows up to this are rounding of the weights."""


def wudi(deltas: Matrices, parameters: WudiParameters, bounds: Bounds) -> Matrix:
    """The merged delta; deltas of norm 0 say nothing."""
    every = [delta.astype(np.float64) for delta in deltas if delta.any()]
    if not every:
        return np.zeros(deltas.shape[1:])
    with one_blas_thread():
        parts = [delta / np.linalg.norm(delta) for delta in every]
        targets = [delta @ part.T for delta, part in zip(every, parts, strict=True)]
        least = bounds.rounding / min(map(np.linalg.norm, every))
        problem = _Problem(np.vstack(parts), np.hstack(targets), float(least) ** 2)
        return _exact(problem) if parameters.solver == "exact" else _adam(problem, added(deltas))


def _exact(problem: _Problem) -> Matrix:
    """The least-squares solution of least norm, from the smaller of two Gram matrices."""
    rows, targets, least = problem
    if len(rows) <= rows.shape[1]:
        return np.asarray(targets @ _inverse(rows @ rows.T, least) @ rows)
    return np.asarray(targets @ rows @ _inverse(rows.T @ rows, least))


def _inverse(gram: Matrix, least: float) -> Matrix:
    squares, vectors = np.linalg.eigh(gram)
    above = squares > max(squares[-1] * NOISE**2, least)
    kept = vectors[:, above]
    return np.asarray(kept / squares[above] @ kept.T)


def _adam(problem: _Problem, merged: Matrix) -> Matrix:
    rows, targets, _ = problem
    adam = Adam(RATE)
    for _step in range(STEPS):
        merged = adam.step(merged, 2 * (merged @ rows.T - targets) @ rows)
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
