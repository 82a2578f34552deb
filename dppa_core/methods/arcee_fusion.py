"""Arcee Fusion: take over the changes that matter most, by size and by row.

An element's importance is its |difference| times the divergence of its row's softmax. Those of at
least the median plus 1.5 quartile distances change. Quartiles are exact, also of tensors above a
million elements, from which mergekit draws a million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.ends import check_one_way, first_delta, way
from dppa_core.methods.shared.ranking import values_at
from dppa_core.methods.shared.stack import Combination, Rows, Stack, Streamed

EPS = 1e-8
"""As in mergekit: added to every probability."""


@dataclass(frozen=True, slots=True)
class ArceeFusionParameters:
    """Arcee Fusion has no settings."""


@dataclass(frozen=True, slots=True, eq=False)
class Importance:
    """The survey of one tensor."""

    divergences: Float64[ndarray, " rows"]
    """Of every row's softmax."""
    threshold: float
    """The least importance of an element that changes."""


def survey_arcee_fusion(
    tensors: Sequence[Streamed], parameters: ArceeFusionParameters
) -> Mapping[str, Importance]:
    """The divergences of all rows, then the quartiles of the importance."""
    return {tensor.name: _survey(tensor) for tensor in tensors}


def _survey(tensor: Streamed) -> Importance:
    divergences = np.concatenate([_divergences(stack) for stack in tensor.stacks()])
    places = [int(share * (tensor.numel - 1)) for share in (0.25, 0.5, 0.75)]
    low, median, high = values_at(
        (tensor,), places, lambda stack: np.stack([importance(stack, divergences)] * 3)
    )
    return Importance(divergences, median + 1.5 * (high - low))


def _divergences(stack: Stack) -> Float64[ndarray, " rows"]:
    start = stack.base.astype(np.float64) + first_delta(stack)
    p, q = _softmax(start + way(stack)) + EPS, _softmax(start) + EPS
    return np.asarray((p * np.log(p / q)).sum(axis=1))


def _softmax(values: Float64[ndarray, "rows columns"]) -> Float64[ndarray, "rows columns"]:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def importance(stack: Stack, divergences: Float64[ndarray, " rows"]) -> Rows:
    """|difference| times the divergence of the row."""
    first = stack.start // stack.base.shape[1]
    of_rows = divergences[first : first + len(stack.base), None]
    return np.asarray((np.abs(way(stack)) * of_rows).astype(np.float32))


def arcee_fusion(
    stack: Stack, parameters: ArceeFusionParameters, surveys: Mapping[str, Importance]
) -> Rows:
    """The first model, with the second's weights where they matter."""
    survey = surveys[stack.name]
    change = importance(stack, survey.divergences) >= np.float32(survey.threshold)
    part = np.float32(stack.coefficients[-1]) * way(stack)
    merged: Rows = first_delta(stack) + np.where(change, part, np.float32(0))
    return merged


METHOD = Method(
    name="arcee_fusion",
    title="Arcee Fusion",
    paper="",
    summary="Takes over from another model the changes that stand out, by size and by row.",
    group="sparse",
    home="A model to renew by another's strongest changes.",
    parameters=ArceeFusionParameters,
    combination=Combination(arcee_fusion, survey_arcee_fusion, keeps_zeros=True),
    rounds=True,
    check=check_one_way,
)
