"""Flat arrays of 16- or 32-bit floats, in few bytes.

Weights are stored as steps from a base: how many values of their dtype lie between the base's
weight and theirs, zigzag (0, -1, 1, -2, ... become 0, 1, 2, 3, ...). Steps are small, and smaller
where the base is large; so they are sorted by the base's exponent, which a reader knows. Of all
numbers the upper bytes come first, then the lower ones. docs/pack-format.md describes it.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64, Shaped, UInt8
from numpy import ndarray

from dppa_core.errors import DamagedCheckpoint
from dppa_core.forms.compression import DAMAGE, compress, decompress

_FRACTION_BITS = {"uint16": 7, "float16": 10, "float32": 23}
"""Raw type -> bits of a fraction: BF16, F16, F32."""

Raw = Shaped[ndarray, " n"]
"""Weights as they are stored."""
Bits = Shaped[ndarray, " n"]
"""uint16 or uint32."""


def encode_values(values: Raw, base: Raw | None = None) -> bytes:
    """One frame; `decode_values` reads it.

    Args:
        base: Weights of the same dtype at the same places; None if there are none.
    """
    if base is None:
        return compress(byte_planes(_rotate(_bits(values), 1)).tobytes())
    return compress(byte_planes(steps(values, base)[_by_exponent(base)]).tobytes())


def decode_values(code: bytes, like: Raw, subject: str, *, stepped: bool = True) -> Raw:
    """The values that `encode_values` wrote.

    Args:
        like: The base's weights at these places; without a base any array of their number and type.
        subject: The tensor and its file, for messages.
        stepped: False if they were written without a base.

    Raises:
        DamagedCheckpoint: not so many values.
    """
    planes = np.frombuffer(decompress(code, like.nbytes, subject), np.uint8)
    if planes.size != like.nbytes:
        raise DamagedCheckpoint(
            f"{subject}: {planes.size // like.itemsize} values, {like.size} places. {DAMAGE}"
        )
    bits = from_byte_planes(planes, like.itemsize)
    if not stepped:
        return np.asarray(_rotate(bits, 8 * like.itemsize - 1).view(like.dtype))
    unsorted = np.empty_like(bits)
    unsorted[_by_exponent(like)] = bits
    return after_steps(unsorted, like)


def steps(values: Raw, base: Raw) -> Bits:
    """Steps from the base to each value, zigzag; -0 and 0 are a step apart."""
    ahead = _ordered(_bits(values)) - _ordered(_bits(base))
    return np.asarray((ahead << 1) ^ _signs(ahead))


def after_steps(zigzag: Bits, base: Raw) -> Raw:
    """The values so many steps from the base."""
    ahead = (zigzag >> 1) ^ (~(zigzag & 1) + 1)
    ordered = _ordered(_bits(base)) + ahead
    top = 1 << 8 * ordered.itemsize - 1
    return np.asarray(ordered ^ (~_signs(ordered) | top)).view(base.dtype)


def byte_planes(bits: Bits) -> UInt8[ndarray, " bytes"]:
    """All highest bytes, then all next ones, down to all lowest ones."""
    parts = bits.astype(f">u{bits.itemsize}").view(np.uint8).reshape(-1, bits.itemsize)
    return np.ascontiguousarray(parts.T).reshape(-1)


def from_byte_planes(planes: UInt8[ndarray, " bytes"], width: int) -> Bits:
    """The numbers of `width` bytes that `byte_planes` took apart."""
    parts = np.ascontiguousarray(planes.reshape(width, -1).T)
    return parts.view(f">u{width}").reshape(-1).astype(f"u{width}")


def _bits(raw: Raw) -> Bits:
    return raw.view(f"u{raw.itemsize}")


def _signs(bits: Bits) -> Bits:
    """All ones where the highest bit is set, else 0."""
    shift = 8 * bits.itemsize - 1
    return (bits.view(f"i{bits.itemsize}") >> shift).view(bits.dtype)


def _ordered(bits: Bits) -> Bits:
    """Bits of floats as whole numbers that rise with the value."""
    return np.asarray(bits ^ (_signs(bits) | 1 << 8 * bits.itemsize - 1))


def _rotate(bits: Bits, places: int) -> Bits:
    """Rotated to the left; by one, the exponent fills the highest bits."""
    return np.asarray(bits << places | bits >> 8 * bits.itemsize - places)


def _by_exponent(base: Raw) -> Int64[ndarray, " n"]:
    """Places in the order of the base's exponents; equal ones keep theirs."""
    exponents = (_bits(base) << 1) >> _FRACTION_BITS[base.dtype.name] + 1
    return np.argsort(exponents.astype(np.uint8), kind="stable")
