"""mergekit's rescaling after a random drop: to the sum of |d| of the whole tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from dppa_core.methods.shared.stack import Rows, Stack, Streamed

SMALLEST_SUM = 1e-7
"""As in mergekit: smaller sums are not matched."""

Mask: TypeAlias = Bool[ndarray, "rows columns"]


def match_sums(tensor: Streamed, survives: Callable[[Stack, int], Mask]) -> tuple[float, ...]:
    """The factors that give survivors the original sum of |d|; 1 if a sum is next to nothing.

    `survives` gives the mask of the survivors in the delta of the model with that index.
    """
    sums = np.zeros((2, tensor.models))
    for stack in tensor.stacks():
        for model, delta in enumerate(stack.deltas):
            left = np.where(survives(stack, model), delta, np.float32(0))
            sums[:, model] += _sum(delta), _sum(left)
    return tuple(
        float(before / after) if min(before, after) >= SMALLEST_SUM else 1.0
        for before, after in sums.T
    )


def _sum(delta: Rows) -> float:
    return float(np.abs(delta).sum(dtype=np.float64))  # float16 or float32 sums overflow or drift
