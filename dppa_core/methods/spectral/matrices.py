"""What methods that merge matrices share: the sum of deltas, and tensors that are no matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.methods.shared.singular import singular
from dppa_core.methods.shared.stack import Combination, Deltas, Rows, Stack
from dppa_core.parameter_fields import choice

Matrix: TypeAlias = Float64[ndarray, "rows columns"]


class MatrixParameters(Protocol):
    """Settings that every such method has."""

    @property
    def scale(self) -> float: ...
    @property
    def others(self) -> str: ...


MatrixMerge: TypeAlias = Callable[[Deltas, Any], Matrix]
"""Deltas of a linear module times their coefficients, outputs x inputs -> the merged delta."""


def others() -> Any:
    """What becomes of tensors that are no linear module."""
    return choice(
        "mean",
        title="Other tensors",
        text="What becomes of changes of embeddings, norms and biases.",
        choices=("mean", "sum"),
    )


def by_matrix(merge: MatrixMerge) -> Combination:
    """The combination that merges linear modules as matrices, and adds up other tensors."""

    def combine(stack: Stack, parameters: MatrixParameters, statistic: None = None) -> Rows:
        weighted = stack.weighted()
        # Values that are not finite have no directions; their sum names them.
        if stack.is_matrix and np.isfinite(weighted).all():
            turned = weighted if stack.inputs == 1 else weighted.transpose(0, 2, 1)
            merged = merge(turned, parameters)
            merged = merged if stack.inputs == 1 else merged.T
        else:
            merged = added(weighted)
            if parameters.others == "mean":
                merged /= len(weighted)
        return np.asarray(parameters.scale * merged, np.float32)

    return Combination(combine, matrices=True)


def added(deltas: Deltas) -> Matrix:
    """The sum of deltas, in float64."""
    return np.asarray(deltas.sum(axis=0, dtype=np.float64))


def nearest_orthogonal(columns: Matrix) -> Matrix:
    """The matrix of orthonormal columns that is closest; within the columns' span if dependent."""
    parts = singular(columns)
    return np.asarray(parts.left @ parts.right)
