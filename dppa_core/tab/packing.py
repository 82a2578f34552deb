"""Weights packed for a browser: of a domain model only its steps from the base.

The tab undoes this in assets/js/tab/files.js. Packed is a gzip file, which browsers read.
"""

from __future__ import annotations

import gzip

import numpy as np
from jaxtyping import UInt16
from numpy import ndarray

Bits = UInt16[ndarray, " n"]
"""bfloat16 values, as they are stored."""
LEVEL = 6


def pack_base(bits: Bits) -> bytes:
    """All upper bytes, then all lower bytes, compressed."""
    return _planes(bits)


def pack_steps(bits: Bits, base: Bits) -> bytes:
    """As `pack_base`, of the number of bfloat16 values from the base to each weight, zigzag."""
    steps = (_ordered(bits) - _ordered(base)).astype(np.int16)
    return _planes(((steps << 1) ^ (steps >> 15)).view(np.uint16))


def _ordered(bits: Bits) -> Bits:
    """Bits as whole numbers that rise with the value."""
    signs = (bits.view(np.int16) >> 15).view(np.uint16)
    return np.asarray(bits ^ (signs | np.uint16(0x8000)))


def _planes(values: Bits) -> bytes:
    planes = values.astype("<u2").view(np.uint8).reshape(-1, 2)
    text = np.concatenate([planes[:, 1], planes[:, 0]]).tobytes()
    return gzip.compress(text, LEVEL, mtime=0)
