"""Sums over the elements of two tensors and their base, from which distances are computed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray


@dataclass(frozen=True, slots=True)
class Sums:
    """Counts and sums over the elements of tensors a and b, and of a base c if given."""

    numel: int = 0
    changed: int = 0
    """Number of elements where a and b differ."""
    both: int = 0
    """Number of elements that both deltas change."""
    agreeing: int = 0
    """Number of elements that both change in the same direction."""
    difference: float = 0.0
    """Σ (b - a)²"""
    first: float = 0.0
    """Σ a²"""
    second: float = 0.0
    """Σ b²"""
    product: float = 0.0
    """Σ a·b"""
    first_delta: float = 0.0
    """Σ (a - c)²"""
    second_delta: float = 0.0
    """Σ (b - c)²"""
    delta_product: float = 0.0
    """Σ (a - c)·(b - c)"""
    first_changed: int = 0
    """Number of elements that the first delta changes."""
    second_changed: int = 0
    """Number of elements that the second delta changes."""
    base: float = 0.0
    """Σ c²"""


def sum_chunk(
    a: Float64[ndarray, " n"], b: Float64[ndarray, " n"], c: Float64[ndarray, " n"] | None = None
) -> Sums:
    """The sums over one chunk of two tensors and their base."""
    with np.errstate(invalid="ignore"):  # the caller reports values that are not finite
        change = b - a
        sums: dict[str, Any] = {
            "numel": a.size,
            "changed": int(np.count_nonzero(change)),
            "difference": _dot(change, change),
            "first": _dot(a, a),
            "second": _dot(b, b),
            "product": _dot(a, b),
        }
        if c is not None:
            first, second = a - c, b - c
            products = first * second  # products of two float32 never underflow a float64
            sums |= {
                "first_delta": _dot(first, first),
                "second_delta": _dot(second, second),
                "delta_product": float(products.sum()),
                "both": int(np.count_nonzero(products)),
                "agreeing": int(np.count_nonzero(products > 0)),
                "first_changed": int(np.count_nonzero(first)),
                "second_changed": int(np.count_nonzero(second)),
                "base": _dot(c, c),
            }
    return Sums(**sums)


def _dot(a: Float64[ndarray, " n"], b: Float64[ndarray, " n"]) -> float:
    """numpy's pairwise sum: the order of a BLAS sum depends on the number of threads."""
    return float((a * b).sum())


def total(parts: Iterable[Sums]) -> Sums:
    """The sums over all elements of several parts."""
    parts = tuple(parts)
    values: dict[str, Any] = {}
    for field in fields(Sums):
        column = [getattr(part, field.name) for part in parts]
        values[field.name] = math.fsum(column) if isinstance(field.default, float) else sum(column)
    return Sums(**values)
