"""Inner products of the models' tensors: what methods that turn by angles need of a whole tensor.

The result of such a method is a sum of the models, each times a share that follows from these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.methods.shared.stack import Rows, Stack, Streamed

Products: TypeAlias = Float64[ndarray, "... K K"]
Shares: TypeAlias = Float64[ndarray, "... K"]
"""A share of each model: one for the tensor, or one for each of its rows or columns."""
Vectors: TypeAlias = Callable[[Stack], Float64[ndarray, "K rows columns"]]

AXES = {"tensor": None, "row": 1, "column": 0}
"""What is one vector -> the axis of its elements; None for both."""


def of_deltas(stack: Stack) -> Float64[ndarray, "K rows columns"]:
    """The deltas in float64."""
    return stack.deltas.astype(np.float64)


def of_models(stack: Stack) -> Float64[ndarray, "K rows columns"]:
    """The models in float64."""
    return stack.deltas + stack.base.astype(np.float64)


def inner_products(tensor: Streamed, vectors: Vectors, along: str = "tensor") -> Products:
    """The products of all pairs; along rows one matrix a row, along columns one a column.

    A tensor of one row is one vector, also along columns.
    """
    parts = (_products(vectors(stack), AXES[along]) for stack in tensor.stacks())
    if along == "row":
        return np.concatenate(list(parts))
    total = reduce(np.add, parts)
    vector = along == "column" and len(total) == tensor.numel
    return np.asarray(total.sum(axis=0, keepdims=True) if vector else total)


def products_of(
    tensors: Sequence[Streamed], turned: str = "models", along: str = "tensor"
) -> Mapping[str, Products]:
    """A survey: the products of the models, or of their deltas, in every tensor."""
    vectors = of_deltas if turned == "deltas" else of_models
    return {tensor.name: inner_products(tensor, vectors, along) for tensor in tensors}


def _products(vectors: Float64[ndarray, "K rows columns"], axis: int | None) -> Products:
    models = range(len(vectors))
    sums = {
        (i, j): (vectors[i] * vectors[j]).sum(axis=axis) for i in models for j in models if i <= j
    }
    rows = [np.stack([sums[min(i, j), max(i, j)] for j in models], axis=-1) for i in models]
    return np.stack(rows, axis=-2)


def norms_of(products: Products) -> Shares:
    """The norm of every vector."""
    return np.asarray(np.sqrt(np.diagonal(products, axis1=-2, axis2=-1)))


def in_rows(shares: Shares, stack: Stack, along: str) -> Shares:
    """The shares that belong to the rows of a stack."""
    if along != "row":
        return shares
    first = stack.start // stack.base.shape[1]
    return np.asarray(shares[first : first + len(stack.base)])


def add_deltas(stack: Stack, shares: Shares, along: str = "tensor") -> Rows:
    """The deltas times their shares."""
    factors = np.moveaxis(np.atleast_2d(in_rows(shares, stack, along)), -1, 0).astype(np.float32)
    shaped = factors[:, :, None] if along == "row" else factors[:, None, :]
    merged: Rows = np.zeros_like(stack.base)
    for delta, factor in zip(stack.deltas, shaped, strict=True):
        merged += factor * delta
    return merged


def add_turned(stack: Stack, shares: Shares, turned: str, along: str = "tensor") -> Rows:
    """The models, or their deltas, times their shares."""
    return (add_deltas if turned == "deltas" else add_models)(stack, shares, along)


def add_models(stack: Stack, shares: Shares, along: str = "tensor") -> Rows:
    """The models times their shares, minus the base; computed on deltas, which round less."""
    merged = add_deltas(stack, shares, along)
    beyond = (in_rows(shares, stack, along).sum(axis=-1) - 1).astype(np.float32)
    merged += (beyond[..., None] if along == "row" else beyond) * stack.base
    return merged
