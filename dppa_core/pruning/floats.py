"""bfloat16, float16 and float32 as numpy arrays, and rounding between them.

numpy has no bfloat16: its raw form here is uint16, the upper half of a float32.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Shaped, UInt16
from numpy import ndarray

from dppa_core.errors import InvalidValue

FLOATS: dict[str, type[np.generic]] = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32}
"""Dtypes of weights with a delta, and their raw numpy type."""

OTHERS: dict[str, type[np.generic]] = {
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
"""Dtypes copied from the base: counters and masks, never weights."""

RAW_TYPES: dict[str, type[np.generic]] = {**FLOATS, **OTHERS, "F64": np.float64}
"""All readable and writable dtypes with their raw numpy type; float64 is copied unchanged."""

FEW_BITS: dict[str, type[np.generic]] = dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0"), np.uint8)
"""Dtypes of codes and scales of weights in few bits, which are read as bytes."""

STORED: dict[str, type[np.generic]] = {**RAW_TYPES, **FEW_BITS}
"""All dtypes that a file's tensors may have."""

DTYPE_CODES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
"""Names in recipes, with their codes in safetensors headers."""


def to_float32(raw: Shaped[ndarray, " *shape"], dtype: str) -> Float32[ndarray, " *shape"]:
    """Widen raw weights, without loss.

    Args:
        raw: uint16 for BF16, float16 for F16, float32 for F32.
        dtype: "BF16", "F16" or "F32".
    """
    if dtype == "BF16":
        return (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)
    _check_dtype(dtype)
    return np.asarray(raw.astype(np.float32, copy=False))


def from_float32(values: Float32[ndarray, " *shape"], dtype: str) -> Shaped[ndarray, " *shape"]:
    """Round float32 to the nearest value of `dtype`, ties to even; NaN stays NaN."""
    if dtype == "BF16":
        return _to_bfloat16(values)
    _check_dtype(dtype)
    with np.errstate(over="ignore"):  # too large values become infinity; callers check
        return np.asarray(values.astype(FLOATS[dtype], copy=False))


def steps(values: Float32[ndarray, " *shape"], dtype: str) -> Float32[ndarray, " *shape"]:
    """The distance from each value to the next one of `dtype`, away from zero."""
    digits, least = {"BF16": (8, -126), "F16": (11, -14), "F32": (24, -126)}[dtype]
    exponents = np.maximum(np.frexp(values)[1] - 1, least)
    return np.asarray(np.ldexp(np.float32(1), exponents + 1 - digits))


def _to_bfloat16(values: Float32[ndarray, " *shape"]) -> UInt16[ndarray, " *shape"]:
    bits = values.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    quiet = (bits >> np.uint32(16)) | np.uint32(0x0040)
    return np.where(np.isnan(values), quiet, rounded).astype(np.uint16)


def _check_dtype(dtype: str) -> None:
    if dtype not in FLOATS:
        raise InvalidValue(f"dtype must be one of {', '.join(FLOATS)}, got {dtype!r}.")
