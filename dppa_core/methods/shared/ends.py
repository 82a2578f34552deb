"""Methods that go from one model to one other: the base is the first if there is only one."""

from __future__ import annotations

from typing import Any

import numpy as np

from dppa_core.errors import InvalidValue, shown
from dppa_core.methods.shared.contract import Coefficients
from dppa_core.methods.shared.stack import Rows, Stack


def first_delta(stack: Stack) -> Rows:
    """The delta of the first model; 0 if that is the base."""
    return np.asarray(stack.deltas[0] if len(stack.deltas) > 1 else 0 * stack.deltas[0])


def way(stack: Stack) -> Rows:
    """The difference of the second model from the first."""
    return np.asarray(stack.deltas[-1] - first_delta(stack))


def check_one_way(parameters: Any, models: Coefficients, method: str = "the method") -> None:
    """Refuse more than two models, and a coefficient of the first."""
    if len(models) > 2:
        raise InvalidValue(
            f"{method} goes from one model to one other, got {len(models)} domain models. Use "
            "linear for more, or merge in two steps."
        )
    for name, coefficient in models[:-1]:
        if coefficient != 1.0:
            raise InvalidValue(
                f"model {shown(name)}: the merge starts at this model, so its coefficient must be "
                f"1, got {shown(coefficient)}."
            )
