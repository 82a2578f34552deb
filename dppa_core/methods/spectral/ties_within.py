"""TIES inside another space: of matrices whose elements are coordinates along directions."""

from __future__ import annotations

import numpy as np

from dppa_core.methods.shared.ranking import find_cuts
from dppa_core.methods.shared.sign_election import ballot_of
from dppa_core.methods.shared.stack import Stack, Streamed
from dppa_core.methods.spectral.matrices import Matrices, Matrix


def ties_within(matrices: Matrices, density: float) -> Matrix:
    """Trim each matrix to its largest elements, elect signs, and average those that agree."""
    deltas = matrices.astype(np.float32)
    if not deltas.size:
        return np.zeros(deltas.shape[1:])
    models, numel = len(deltas), deltas[0].size
    names = tuple(map(str, range(models)))
    stack = Stack("", np.zeros_like(deltas[0]), deltas, (1.0,) * models, names)
    whole = Streamed("", numel, models, lambda: (stack,))
    counts = [round(density * numel)] * models
    cuts = find_cuts((whole,), counts, lambda part: part.deltas) if density < 1 else ()
    undecided = int(np.sign(stack.vote(cuts)))
    ballot = ballot_of(
        stack.coefficients, weigh_first=False, undecided=undecided, divide="coefficients"
    )
    return stack.agree(cuts, ballot).astype(np.float64)
