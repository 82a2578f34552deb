"""What methods that merge matrices share: whole deltas or products, and what is no matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

from dppa_core.methods.shared.singular import NOISE, Factors, singular
from dppa_core.methods.shared.stack import Combination, Rows, Stack
from dppa_core.parameter_fields import choice
from dppa_core.system.threads import one_blas_thread

Matrix: TypeAlias = Float64[ndarray, "rows columns"]
Matrices: TypeAlias = Float[ndarray, "K rows columns"]


@runtime_checkable
class MatrixParameters(Protocol):
    """Settings that every such method has."""

    @property
    def scale(self) -> float: ...
    @property
    def others(self) -> str: ...


class Bounds(NamedTuple):
    """How many directions a module has, and which of them count."""

    size: int
    """Its smaller side."""
    rounding: float = 0.0
    """Directions up to this size are rounding of the weights. So a delta that was an adapter has
    the adapter's directions."""


MatrixMerge: TypeAlias = Callable[[Matrices, Any, Bounds], Matrix]
"""Deltas of a module times their coefficients, outputs x inputs; parameters; bounds -> the merged
delta."""
FactorMerge: TypeAlias = Callable[[Sequence[Factors], Any, Bounds], Factors]
"""The same of deltas that are products."""


def others() -> Any:
    """What becomes of tensors that are no linear module."""
    return choice(
        "mean",
        title="Other tensors",
        text="What becomes of changes of embeddings, norms and biases.",
        choices=("mean", "sum"),
    )


def by_matrix(merge: MatrixMerge) -> Combination:
    """The combination of a merge that commutes with rotations of outputs, and of inputs.

    So products are merged as small matrices: between bases that span all of their outputs, and all
    of their inputs.
    """

    def factored(parts: Sequence[Factors], parameters: MatrixParameters, size: int) -> Factors:
        with one_blas_thread():
            left, near = np.linalg.qr(np.hstack([part.left for part in parts]).astype(np.float64))
            right, far = np.linalg.qr(np.vstack([part.right for part in parts]).T.astype(float))
        ends = np.cumsum([0, *(part.left.shape[1] for part in parts)])
        spans = [slice(*pair) for pair in zip(ends, ends[1:], strict=False)]
        cores = np.stack([near[:, span] @ far[:, span].T for span in spans])
        core = merge(cores, parameters, Bounds(size))
        return scaled(Factors(left @ core, right.T), parameters.scale)

    return Combination(_combine(merge), matrices=True, factored=factored)


def by_factors(merge: FactorMerge) -> Combination:
    """The combination of a merge that is defined on products of directions.

    They are those of each delta by falling size, either side times the root of the size: so a
    result does not depend on how an adapter is stored.
    """

    def factored(parts: Sequence[Factors], parameters: MatrixParameters, size: int) -> Factors:
        merged = merge([part.balanced() for part in parts], parameters, Bounds(size))
        return scaled(merged, parameters.scale)

    def whole(deltas: Matrices, parameters: Any, bounds: Bounds) -> Matrix:
        parts = [singular(delta, above=bounds.rounding).balanced() for delta in deltas]
        merged = merge(parts, parameters, bounds)
        return np.asarray(merged.left @ merged.right)

    return Combination(_combine(whole), matrices=True, factored=factored)


def scaled(factors: Factors, scale: float) -> Factors:
    """The product times a number."""
    return Factors(scale * factors.left, factors.right)


def _combine(merge: MatrixMerge) -> Callable[[Stack, Any, Any], Rows]:
    """Merge linear modules as matrices, and add up other tensors."""

    def combine(stack: Stack, parameters: MatrixParameters, statistic: None = None) -> Rows:
        weighted = stack.weighted()
        # Values that are not finite have no directions; their sum names them.
        if not stack.is_matrix or not np.isfinite(weighted).all():
            return rest(stack, parameters)
        turned = weighted if stack.inputs == 1 else weighted.transpose(0, 2, 1)
        merged = merge(turned, parameters, bounds_of(stack))
        merged = merged if stack.inputs == 1 else merged.T
        return np.asarray(parameters.scale * merged, np.float32)

    return combine


def rest(stack: Stack, parameters: MatrixParameters) -> Rows:
    """The scaled mean or sum of what is no linear module."""
    merged = added(stack.weighted())
    if parameters.others == "mean":
        merged /= len(stack.models)
    return np.asarray(parameters.scale * merged, np.float32)


def bounds_of(stack: Stack) -> Bounds:
    """A random matrix of the size of float32 rounding of the base has no larger direction."""
    size = min(stack.base.shape)
    return Bounds(size, NOISE * float(np.linalg.norm(stack.base)) / np.sqrt(size))


def added(deltas: Matrices) -> Matrix:
    """The sum of deltas, in float64."""
    return np.asarray(deltas.sum(axis=0, dtype=np.float64))


def nearest_orthogonal(columns: Matrix) -> Matrix:
    """The matrix of orthonormal columns that is closest; within the columns' span if dependent."""
    parts = singular(columns)
    return np.asarray(parts.left @ parts.right)
