"""RegMean: the one matrix whose outputs come closest to those of all models (arXiv:2212.09849).

Knows stacked deltas and the Gram matrices of a module's inputs, no text and no model: the Gram
matrix of a model is the sum of x xᵀ over the inputs x its calibration text brings to the module.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.methods.stack import Rows, Stack

Grams: TypeAlias = Float64[ndarray, "K columns columns"]
OFF_DIAGONAL = 0.9
"""What the paper multiplies everything beside the diagonal by, so that the sum can be inverted."""


def regmean(stack: Stack, grams: Grams, off_diagonal: float = OFF_DIAGONAL) -> Rows:
    """(the sum of delta times Gram matrix) times (the sum of Gram matrices) inverted.

    Args:
        stack: Some rows of one module's weight; a column for each input.
        grams: Of every model.
        off_diagonal: In [0, 1]; 1 leaves the Gram matrices as they are, 0 leaves their diagonals.
    """
    columns = stack.base.shape[1]
    damping = np.full((columns, columns), off_diagonal)
    np.fill_diagonal(damping, 1.0)
    weighted = grams * damping * np.array(stack.coefficients)[:, None, None]
    outputs = sum(delta @ gram for delta, gram in zip(stack.deltas, weighted, strict=True))
    total = weighted.sum(axis=0)
    # Inputs that no text ever used have no best weight; the base's stays.
    used = np.diagonal(total) != 0
    merged = np.zeros(stack.base.shape, np.float32)
    solved = np.linalg.lstsq(total[np.ix_(used, used)].T, np.asarray(outputs)[:, used].T)[0]
    merged[:, used] = solved.T
    result: Rows = merged
    return result
