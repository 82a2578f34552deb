"""Fisher merging: the mean of the models, weighted by what each parameter means to them.

Knows stacked deltas and the importance of their elements (arXiv:2111.09832), no text and no model:
the importance is the mean squared gradient of the log-likelihood on calibration text, divided by
its norm over the whole model.
"""

from __future__ import annotations

import numpy as np

from dppa_core.methods.stack import Deltas, Rows, Stack

FLOOR = 1e-6
"""The least importance of an element, as in the paper's program: no weight is 0."""


def fisher(stack: Stack, importance: Deltas) -> Rows:
    """The sum of coefficient, importance and delta, over the sum of the first two.

    Args:
        stack: Some rows of one tensor.
        importance: Of every element of every model, from 0 on.
    """
    weights = np.maximum(importance, np.float32(FLOOR)).astype(np.float64)
    weights *= np.array(stack.coefficients)[:, None, None]
    divisor = weights.sum(axis=0)
    divisor[divisor == 0] = 1  # coefficients that cancel have no mean
    merged: Rows = ((weights * stack.deltas).sum(axis=0) / divisor).astype(np.float32)
    return merged
