"""Iso-CTS: directions of the sum and of each model, all of one size (arXiv:2502.04959)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import scale
from dppa_core.methods.shared.singular import NOISE, singular
from dppa_core.methods.spectral.matrices import (
    Bounds,
    Matrices,
    Matrix,
    added,
    by_matrix,
    nearest_orthogonal,
    others,
)
from dppa_core.parameter_fields import Parameters, number


@dataclass(frozen=True, slots=True)
class IsoCtsParameters(Parameters):
    """Settings of Iso-CTS; the default share is the paper's."""

    common: float = number(
        0.8,
        title="Common share",
        text="The share of directions that comes from the sum; others come from what it leaves of "
        "each model.",
        unit="share",
        span=(0.0, 1.0, 0.05),
    )
    scale: float = scale(1.0)
    others: str = others()


def direction_counts(size: int, models: int, common: float) -> tuple[int, int]:
    """Directions of the sum, and of each model: those of the models are equally many."""
    each = min(round((size - int(size * common)) / models), size // models)
    return size - each * models, each


def iso_cts(deltas: Matrices, parameters: IsoCtsParameters, bounds: Bounds) -> Matrix:
    """The chosen directions made orthogonal, each with the mean of their singular values."""
    shared, each = direction_counts(bounds.size, len(deltas), parameters.common)
    common = singular(added(deltas), shared, bounds.rounding)
    parts = [common]
    for delta in deltas.astype(np.float64):
        least = max(NOISE * float(np.linalg.norm(delta)), bounds.rounding)
        parts.append(singular(delta - common.left @ (common.left.T @ delta), each, least))
    values = np.concatenate([part.values for part in parts])
    if not values.size:
        return np.zeros(deltas.shape[1:])
    left = nearest_orthogonal(np.hstack([part.left for part in parts]))
    right = nearest_orthogonal(np.vstack([part.right for part in parts]).T)
    return np.asarray(values.mean() * left @ right.T)


METHOD = Method(
    name="iso_cts",
    title="Iso-CTS",
    paper="arXiv:2502.04959",
    summary="As Iso-C, and keeps some directions for what the sum leaves of each model.",
    group="spectral",
    home="Many models, each with directions of its own that the sum hides.",
    parameters=IsoCtsParameters,
    combination=by_matrix(iso_cts),
)
