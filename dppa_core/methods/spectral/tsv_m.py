"""TSV-Merge: strongest directions of each model, made orthogonal to others (arXiv:2412.00081)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import scale
from dppa_core.methods.shared.singular import singular
from dppa_core.methods.spectral.matrices import (
    Bounds,
    Matrices,
    Matrix,
    by_matrix,
    nearest_orthogonal,
    others,
)
from dppa_core.parameter_fields import Parameters


@dataclass(frozen=True, slots=True)
class TsvMParameters(Parameters):
    """Settings of TSV-Merge."""

    scale: float = scale(1.0)
    others: str = others()


def tsv_m(deltas: Matrices, parameters: TsvMParameters, bounds: Bounds) -> Matrix:
    """One part of n of each model's directions, at least one, side by side; both sides are then
    made orthogonal."""
    each = max(bounds.size // len(deltas), 1)
    parts = [singular(delta, each, bounds.rounding) for delta in deltas]
    values = np.concatenate([part.values for part in parts])
    if not values.size:
        return np.zeros(deltas.shape[1:])
    left = nearest_orthogonal(np.hstack([part.left for part in parts]))
    right = nearest_orthogonal(np.vstack([part.right for part in parts]).T)
    return np.asarray(left * values @ right.T)


METHOD = Method(
    name="tsv_m",
    title="TSV-Merge",
    paper="arXiv:2412.00081",
    summary="Keeps each model's strongest directions, and turns those of different models apart.",
    group="spectral",
    home="Models that change the same layers in directions near each other.",
    parameters=TsvMParameters,
    combination=by_matrix(tsv_m),
)
