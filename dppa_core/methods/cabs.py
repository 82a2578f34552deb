"""CABS: n of m neighbours of each delta in turn, none twice (arXiv:2503.01874)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, UInt64
from numpy import ndarray

from dppa_core.errors import InvalidValue
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import scale
from dppa_core.methods.shared.stack import Combination, Rows, Stack
from dppa_core.parameter_fields import Parameters, check_fields, whole_number

Mask: TypeAlias = Bool[ndarray, "rows columns"]


@dataclass(frozen=True, slots=True)
class CabsParameters(Parameters):
    """Settings of CABS; the defaults keep a quarter, as in the paper."""

    n: int = whole_number(
        64,
        title="Kept of a group",
        text="Of each group in a row so many stay, the largest that no earlier model took.",
        unit="elements",
        span=(1, 1024),
    )
    m: int = whole_number(
        256,
        title="Group",
        text="Neighbours in a group. The last of a row may be shorter.",
        unit="elements",
        span=(1, 1024),
    )
    scale: float = scale(1.0)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.n > self.m:
            raise InvalidValue(f"n must be at most m, got {self.n} of {self.m}.")


def cabs(stack: Stack, parameters: CabsParameters, statistic: None = None) -> Rows:
    """The sum of what each model keeps; the first chooses first."""
    free: Mask = np.ones(stack.base.shape, bool)
    merged, order = np.zeros_like(stack.base), stack.order()
    for delta, coefficient in zip(stack.deltas, stack.coefficients, strict=True):
        kept = free & (delta != 0) & _largest(np.where(free, np.abs(delta), -1), order, parameters)
        merged += np.float32(coefficient) * np.where(kept, delta, np.float32(0))
        free &= ~kept
    return np.asarray(np.float32(parameters.scale) * merged)


def _largest(
    sizes: Rows, order: UInt64[ndarray, "rows columns"], parameters: CabsParameters
) -> Mask:
    n, m, columns = parameters.n, parameters.m, sizes.shape[1]
    largest = np.zeros(sizes.shape, bool)
    for first in range(0, columns, m):
        group = slice(first, min(first + m, columns))
        count = -(-n * (group.stop - first) // m)
        ranked = np.lexsort((order[:, group], -sizes[:, group]), axis=1)[:, :count]
        np.put_along_axis(largest[:, group], ranked, True, axis=1)
    return largest


METHOD = Method(
    name="cabs",
    title="CABS",
    paper="arXiv:2503.01874",
    summary="Keeps a few of every group of neighbours, and gives no element to two models.",
    group="sparse",
    home="Models that change the same elements.",
    parameters=CabsParameters,
    combination=Combination(cabs),
)
