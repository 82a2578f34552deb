"""Iso-C: the sum of the deltas, with all singular values made equal (arXiv:2502.04959)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import scale
from dppa_core.methods.shared.singular import singular
from dppa_core.methods.spectral.matrices import Bounds, Matrices, Matrix, added, by_matrix, others
from dppa_core.parameter_fields import Parameters


@dataclass(frozen=True, slots=True)
class IsoCParameters(Parameters):
    """Settings of Iso-C."""

    scale: float = scale(1.0)
    others: str = others()


def iso_c(deltas: Matrices, parameters: IsoCParameters, bounds: Bounds) -> Matrix:
    """The directions of the sum, each with the mean of its singular values.

    Directions that are only rounding, as those beyond the rank of adapters, stay out.
    """
    parts = singular(added(deltas), above=bounds.rounding)
    mean = float(parts.values.mean()) if parts.values.size else 0.0
    return np.asarray(mean * parts.left @ parts.right)


METHOD = Method(
    name="iso_c",
    title="Iso-C",
    paper="arXiv:2502.04959",
    summary="Adds the deltas, and gives all directions of a matrix the same size.",
    group="spectral",
    home="Many models whose sum is ruled by a few strong directions.",
    parameters=IsoCParameters,
    combination=by_matrix(iso_c),
)
