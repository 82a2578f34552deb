"""LiNeS: deltas grow with the depth of their layer (arXiv:2410.17146)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.numpy_loops import times
from dppa_core.methods.shared.stack import Combination, Deltas, Rows, Stack, Streamed
from dppa_core.parameter_fields import Parameters, number
from dppa_core.pruning.module_groups import layer_count, layer_of


@dataclass(frozen=True, slots=True)
class LinesParameters(Parameters):
    """Settings of LiNeS; the defaults are the paper's for one model, alpha and alpha + beta."""

    first: float = number(
        0.5,
        title="First layer",
        text="Factor of the first layer and of what is in no layer (alpha).",
        unit="x",
        span=(0.0, 4.0, 0.05),
        own="alike",
    )
    last: float = number(
        1.0,
        title="Last layer",
        text="Factor of the last layer (alpha + beta); those between lie on a line.",
        unit="x",
        span=(0.0, 4.0, 0.05),
        own="alike",
    )


def last_layer(tensors: Sequence[Streamed], parameters: LinesParameters) -> int:
    """Index of the last layer with a delta."""
    return layer_count(tensor.name for tensor in tensors) - 1


def lines(stack: Stack, parameters: LinesParameters, last: int) -> Rows:
    """The sum of the deltas, coefficients included, times the factor of their layer."""
    return np.asarray(scaled_parts(stack, parameters, last).sum(axis=0))


def scaled_parts(stack: Stack, parameters: LinesParameters, last: int) -> Deltas:
    """Each model's part of that sum."""
    depth = (layer_of(stack.name) or 0) / max(last, 1)
    factor = parameters.first + depth * (parameters.last - parameters.first)
    return times(stack.deltas, [factor * coefficient for coefficient in stack.coefficients])


METHOD = Method(
    name="lines",
    title="LiNeS",
    paper="arXiv:2410.17146",
    summary="Adds up the deltas, those of the first layers times less than those of the last.",
    group="linear",
    home="Keep what the base knows: first layers hold what all tasks share.",
    parameters=LinesParameters,
    combination=Combination(
        lines,
        last_layer,
        whole_model=lambda parameters: True,
        adds=lambda parameters: True,
        parts=scaled_parts,
    ),
)
