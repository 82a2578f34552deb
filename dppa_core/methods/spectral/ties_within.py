"""TIES inside another space: of matrices whose elements are coordinates along directions."""

from __future__ import annotations

import numpy as np

from dppa_core.methods.shared.stack import Stack, Streamed
from dppa_core.methods.spectral.matrices import Matrices, Matrix
from dppa_core.methods.ties import TiesParameters, survey_ties, ties


def ties_within(matrices: Matrices, density: float) -> Matrix:
    """Trim each matrix to its largest elements, elect signs, and average those that agree."""
    deltas = matrices.astype(np.float32)
    if not deltas.size:
        return np.zeros(deltas.shape[1:])
    names = tuple(map(str, range(len(deltas))))
    stack = Stack("", np.zeros_like(deltas[0]), deltas, (1.0,) * len(deltas), names)
    whole = Streamed("", deltas[0].size, len(deltas), lambda: (stack,))
    parameters = TiesParameters(density)
    trim = survey_ties((whole,), parameters)
    return ties(stack, parameters, trim).astype(np.float64)
