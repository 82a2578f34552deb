"""Weights packed for a browser: of a domain model only its steps from the base.

The tab undoes this in assets/js/tab/files.js. Packed is a gzip file, which browsers read.
"""

from __future__ import annotations

import gzip

from jaxtyping import UInt16
from numpy import ndarray

from dppa_core.forms.values import byte_planes, steps

Bits = UInt16[ndarray, " n"]
"""bfloat16 values, as they are stored."""
LEVEL = 6


def pack_base(bits: Bits) -> bytes:
    """All upper bytes, then all lower bytes, compressed."""
    return _planes(bits)


def pack_steps(bits: Bits, base: Bits) -> bytes:
    """As `pack_base`, of the number of bfloat16 values from the base to each weight, zigzag."""
    return _planes(steps(bits, base))


def _planes(values: Bits) -> bytes:
    return gzip.compress(byte_planes(values).tobytes(), LEVEL, mtime=0)
