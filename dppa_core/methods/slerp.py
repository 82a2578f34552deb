"""SLERP: interpolate between two models along the arc between them.

It interpolates weights, not deltas: two models tuned from one base are nearly parallel, so the arc
is almost a straight line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dppa_core.errors import InvalidValue, shown
from dppa_core.methods.shared.contract import Coefficients, Method
from dppa_core.methods.shared.ends import check_one_way
from dppa_core.methods.shared.stack import Combination, Rows, Stack, Streamed
from dppa_core.parameter_fields import Parameters, number
from dppa_core.pruning.coefficients import numbers_of, parts_of

PARALLEL = 0.9995
"""Above this cosine, and below its negative, the interpolation is linear."""
TINY = 1e-8
"""A shorter end has no angle to the other."""


@dataclass(frozen=True, slots=True)
class SlerpParameters(Parameters):
    """Settings of SLERP."""

    position: float = number(
        0.5,
        title="Position",
        text="0 is the first model, 1 the second; with one domain model the base is the first. "
        "Multiplied by the coefficient of the model it goes to.",
        unit="share",
        span=(0.0, 1.0, 0.01),
    )


def survey_slerp(tensors: Sequence[Streamed], parameters: SlerpParameters) -> dict[str, float]:
    """The cosine of the angle between the two ends of every tensor."""
    return {tensor.name: _cosine(tensor) for tensor in tensors}


def _cosine(tensor: Streamed) -> float:
    dot = first = second = 0.0
    for stack in tensor.stacks():
        a, b = (end.astype(np.float64) for end in _ends(stack))
        dot, first, second = dot + (a * b).sum(), first + (a * a).sum(), second + (b * b).sum()
    norms = float(np.sqrt(first) * np.sqrt(second))
    return float(dot) / norms if norms > TINY else 1.0  # no angle with a zero end: linear


def _ends(stack: Stack) -> tuple[Rows, Rows]:
    tuned = [stack.base + delta for delta in stack.deltas]
    return (stack.base, tuned[0]) if len(tuned) == 1 else (tuned[0], tuned[1])


def slerp(stack: Stack, parameters: SlerpParameters, cosines: dict[str, float]) -> Rows:
    """[sin((1 - t) omega) a + sin(t omega) b] / sin omega, minus the base."""
    first, second = _ends(stack)
    t, cosine = parameters.position * stack.coefficients[-1], cosines[stack.name]
    if abs(cosine) > PARALLEL:
        shares = (1 - t, t)
    else:
        omega = np.arccos(cosine)
        shares = (np.sin((1 - t) * omega) / np.sin(omega), np.sin(t * omega) / np.sin(omega))
    merged: Rows = np.float32(shares[0]) * first + np.float32(shares[1]) * second
    merged -= stack.base
    return merged


def check_ends(parameters: SlerpParameters, models: Coefficients) -> None:
    """Refuse more than two models, and a place that is not between them."""
    check_one_way(parameters, models, "slerp")
    name, coefficient = models[-1]
    for part in parts_of(coefficient):
        layers = tuple(part.value) if isinstance(part.value, Mapping) else ()
        for place, factor in enumerate(numbers_of(part.value)):
            where = f" in the part {part.part}" if part.part else ""
            where += f" in layer {layers[place]}" if layers else ""
            _check_place(parameters.position * factor, name, where)


def _check_place(place: float, model: str, where: str) -> None:
    if not 0 <= place <= 1:
        raise InvalidValue(
            f"model {shown(model)}: position times coefficient is {place:g}{where}; slerp stands "
            "between the models, from 0, the first, to 1, the second."
        )


METHOD = Method(
    name="slerp",
    title="SLERP",
    paper="",
    summary="Walks from one model to another along the arc between their weights.",
    group="spherical",
    home="Two models of one base, mixed.",
    parameters=SlerpParameters,
    combination=Combination(slerp, survey_slerp, keeps_zeros=True),
    rounds=True,
    check=check_ends,
)
