"""RAM: average a change over the models that made it (arXiv:2601.13572)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.stack import Combination, Deltas, Rows, Stack
from dppa_core.parameter_fields import Parameters, number


def smallest_change() -> Any:
    """The size from which an element counts as changed."""
    return number(
        1e-5,
        title="Smallest change",
        text="A delta entry up to this size counts as unchanged.",
        unit="weight",
        span=(0.0, 1.0, 1e-5),
    )


@dataclass(frozen=True, slots=True)
class RamParameters(Parameters):
    """Settings of RAM; the default is mergekit's."""

    epsilon: float = smallest_change()


Changed = Bool[ndarray, "K rows columns"]


def changed(deltas: Deltas, epsilon: float) -> tuple[Changed, Int64[ndarray, "rows columns"]]:
    """Which models changed an element, and how many did."""
    by_model = np.abs(deltas) > np.float32(epsilon)
    return by_model, by_model.sum(axis=0)


def ram(stack: Stack, parameters: RamParameters, statistic: None = None) -> Rows:
    """The mean of the changes, over the models that made one."""
    deltas = stack.weighted()
    by_model, count = changed(deltas, parameters.epsilon)
    total: Rows = np.where(by_model, deltas, np.float32(0)).sum(axis=0)
    total /= np.maximum(count, 1).astype(np.float32)
    return total


METHOD = Method(
    name="ram",
    title="RAM",
    paper="arXiv:2601.13572",
    summary="Averages a change over the models that made it, so that nobody's own is diluted.",
    group="sparse",
    home="Models with few changes each, as after reinforcement.",
    parameters=RamParameters,
    combination=Combination(ram),
)
