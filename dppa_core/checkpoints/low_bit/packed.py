"""Matrices whose rows are bytes or words of codes, the lowest bits first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Shaped, UInt8
from numpy import ndarray

from dppa_core.checkpoints.low_bit.alphabets import Codes, pack, unpack
from dppa_core.checkpoints.low_bit.folded import Blocked, Span, as_floats, as_stored
from dppa_core.checkpoints.low_bit.rounding import Numbers
from dppa_core.pruning.floats import STORED


class Packed(Blocked):
    """Codes in rows. A byte with a sign is a whole number, any other begins at the lowest one."""

    def codes(self, slab: int, rows: Span, columns: Span) -> Codes:
        count = 8 // self.alphabet.bits
        first, last = columns[0] // count, -(-columns[1] // count)
        packed = self._bytes("codes", slab)[slice(*rows), first:last]
        codes = unpack(packed, self.alphabet.bits)
        return codes[:, columns[0] - first * count :][:, : columns[1] - columns[0]] ^ self._sign

    def scales(self, slab: int) -> Numbers:
        scales = self.slab("scales", slab)
        return as_floats(_matrix(scales), self.stored["scales"].dtype)

    def zeros(self, slab: int) -> Numbers | None:
        if "zeros" not in self.parts:
            return None
        zeros = self.slab("zeros", slab)
        if self.stored["zeros"].dtype != "I32":
            return _matrix(zeros).astype(np.float32)
        packed = np.ascontiguousarray(zeros.T).view(np.uint8)  # a column of words for each group
        codes = unpack(packed, self.alphabet.bits)[:, : self.layout.rows]
        return np.ascontiguousarray(self.alphabet.values[codes].T)

    def store(
        self, slab: int, codes: Codes, scales: Numbers, zeros: Numbers | None
    ) -> Mapping[str, Shaped[ndarray, ...]]:
        kind = np.dtype(STORED[self.stored["codes"].dtype])
        packed = pack(codes ^ self._sign, self.alphabet.bits, kind.itemsize)
        parts = {
            "codes": packed.view(kind),
            "scales": as_stored(scales, self.stored["scales"].dtype),
        }
        if zeros is not None and self.stored["zeros"].dtype == "I32":
            shifted = (zeros - self.alphabet.values[0]).astype(np.uint8)
            words = pack(np.ascontiguousarray(shifted.T), self.alphabet.bits, 4).view(np.int32)
            parts["zeros"] = np.ascontiguousarray(words.T)
        elif zeros is not None:
            parts["zeros"] = zeros.astype(np.int8)
        kept = self.parts.keys() - parts.keys()  # such as the shape
        return parts | {part: self.slab(part, slab) for part in kept}

    @property
    def _sign(self) -> np.uint8:
        return np.uint8(128 if self.stored["codes"].dtype == "I8" else 0)

    def _bytes(self, part: str, slab: int) -> UInt8[ndarray, "_ _"]:
        return self.slab(part, slab).reshape(self.layout.rows, -1).view(np.uint8)


def _matrix(blocks: Shaped[ndarray, ...]) -> Shaped[ndarray, "_ _"]:
    """The values of blocks, one for the whole matrix too, as a matrix."""
    return blocks if blocks.ndim == 2 else blocks.reshape(1, 1)
