"""The numbers that a few bits stand for, rounding to them, and bits packed in bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

Codes = UInt8[ndarray, "_ _"]


@dataclass(frozen=True, slots=True, eq=False)
class Alphabet:
    """The numbers of a code."""

    title: str
    bits: int
    values: Float32[ndarray, " codes"]
    """Code -> its number."""
    gaps: Float32[ndarray, " codes"]
    """Code -> distance to the next number, away from zero."""
    largest: float
    encode: Callable[[Float32[ndarray, "_ _"]], Codes]
    """Codes of the nearest numbers, ties to even; beyond the largest, that of the largest."""
    whole: bool = False
    """The numbers are whole, and may be moved by a zero point."""


@cache
def minifloat(title: str, exponent_bits: int, mantissa: int, largest: float) -> Alphabet:
    """Floats of few bits with subnormals and without infinities; codes beyond `largest` are NaN."""
    least = 2 - 2 ** (exponent_bits - 1)  # the exponent of subnormals
    sign = 1 << (exponent_bits + mantissa)
    magnitude = np.arange(sign)
    exponent = np.maximum(magnitude >> mantissa, 1) - 1 + least
    whole = (magnitude & ((1 << mantissa) - 1)) + ((magnitude >> mantissa > 0) << mantissa)
    values = np.ldexp(whole.astype(np.float32), exponent - mantissa)
    values[values > largest] = np.nan
    gaps = np.ldexp(np.float32(1), exponent - mantissa).astype(np.float32)

    def encode(numbers: Float32[ndarray, "_ _"]) -> Codes:
        size = np.minimum(np.abs(numbers), np.float32(largest))
        powers = np.maximum((size.view(np.int32) >> 23) - 127, least)
        steps = ((powers - mantissa + 127) << 23).view(np.float32)
        with np.errstate(invalid="ignore"):  # NaN: what is not finite is refused by its tensor
            codes = ((powers - least) << mantissa) + np.rint(size / steps).astype(np.int32)
        return np.asarray((codes | np.where(np.signbit(numbers), sign, 0)).astype(np.uint8))

    both = np.concatenate([values, -values])
    return Alphabet(title, 1 + exponent_bits + mantissa, both, np.tile(gaps, 2), largest, encode)


@cache
def integers(bits: int, *, offset: int | None = None) -> Alphabet:
    """Whole numbers; code 0 is the number -offset, by default half of all are negative."""
    lowest = 2 ** (bits - 1) if offset is None else offset
    values = (np.arange(2**bits) - lowest).astype(np.float32)

    def encode(numbers: Float32[ndarray, "_ _"]) -> Codes:
        return np.asarray(np.clip(np.rint(numbers) + lowest, 0, 2**bits - 1).astype(np.uint8))

    largest = float(2 ** (bits - 1) - 1)
    return Alphabet(f"INT{bits}", bits, values, np.ones_like(values), largest, encode, whole=True)


E4M3 = minifloat("FP8", 4, 3, 448.0)
E5M2 = minifloat("FP8 (E5M2)", 5, 2, 57344.0)
E2M1 = minifloat("FP4", 2, 1, 6.0)
FLOAT8 = {"F8_E4M3": E4M3, "F8_E5M2": E5M2}
"""Dtype of safetensors -> its numbers."""


def unpack(packed: UInt8[ndarray, "_ _"], bits: int) -> Codes:
    """The codes in rows of bytes, the lowest bits first."""
    if bits == 8:
        return packed
    count = 8 // bits
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = (packed[:, :, None] >> shifts) & np.uint8(2**bits - 1)
    return codes.reshape(len(packed), packed.shape[1] * count)


def pack(codes: Codes, bits: int, word: int = 1) -> UInt8[ndarray, "_ _"]:
    """Rows of codes in bytes, padded with zeros to words of so many bytes."""
    count = 8 // bits * word
    padded = np.pad(codes, ((0, 0), (0, -codes.shape[1] % count)))
    if bits == 8:
        return padded
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    parts = padded.reshape(len(codes), -1, 8 // bits) << shifts
    return np.asarray(np.bitwise_or.reduce(parts, axis=2))
