"""Writes tensors that arrive in slices as the parts of their formats."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray

from dppa_core.checkpoints.low_bit.formats import LowBitWeights
from dppa_core.checkpoints.low_bit.lazy import Unfolded

Losses = dict[str, tuple[float, float, float]]
"""Tensor -> the squares of what rounding took of it, of it, and of its difference from the base."""
Reading = Callable[[str, int, int], Float32[ndarray, " n"]]
"""The base's elements of a tensor, from a flat index to another."""
_CHUNK = 1 << 20


@runtime_checkable
class Places(Protocol):
    """A writer of stored tensors."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def place(self, name: str, raw: Shaped[ndarray, " n"], start: int = 0) -> None: ...


@dataclass
class _Slab:
    """A matrix that is not complete yet."""

    values: Float32[ndarray, " n"]
    missing: int


class FoldingWriter:
    """Takes the tensors of a model, and writes those of few bits as their parts.

    A matrix is held as float32 until it is complete. Safe for many threads; what is written does
    not depend on their number, nor on the slices. A file that holds some parts of a matrix gets
    these.

    Args:
        base: What the tensors are compared with.
    """

    def __init__(self, writer: Places, weights: LowBitWeights, base: Reading) -> None:
        self._writer, self._stored, self._base = writer, frozenset(writer.names), base
        tensors = {name: weights.blocked(name) for name in weights.tensors}
        self._folded = {name: folded for name, folded in tensors.items() if folded}
        logical = {part: f.name for f in self._folded.values() for part in f.parts.values()}
        names = (logical.get(name, name) for name in writer.names if name not in weights.beside)
        self.names = tuple(dict.fromkeys(names))
        """Names of the model's tensors, in file order."""
        self._slabs: dict[tuple[str, int], _Slab] = {}
        self._squares: dict[tuple[str, int], tuple[float, float, float]] = {}
        self._lock = threading.Lock()

    def place(self, name: str, raw: Shaped[ndarray, " n"], start: int = 0) -> None:
        """Take a tensor or a slice of it: float32 if it is of few bits, else as it is written."""
        if name not in self._folded:
            self._writer.place(name, raw, start)
            return
        size = math.prod(self._folded[name].shape[-2:])
        values = raw.read() if isinstance(raw, Unfolded) else raw
        for slab in range(start // size, -(-(start + raw.size) // size)):
            first, last = max(start, slab * size), min(start + raw.size, (slab + 1) * size)
            part = values[first - start : last - start]
            complete = self._take(name, slab, size, first - slab * size, part)
            if complete is not None:
                self._fold(name, slab, complete)

    def losses(self) -> Losses:
        """Of the tensors written."""
        sums: Losses = {}
        for (name, _), squares in sorted(self._squares.items()):
            error, square, added = sums.get(name, (0.0, 0.0, 0.0))
            sums[name] = error + squares[0], square + squares[1], added + squares[2]
        return sums

    def _take(
        self, name: str, slab: int, size: int, start: int, part: Float32[ndarray, " n"]
    ) -> Float32[ndarray, " size"] | None:
        """The whole matrix, once it is complete."""
        with self._lock:
            held = self._slabs.get((name, slab))
            if held is None:
                held = self._slabs[name, slab] = _Slab(np.empty(size, np.float32), size)
        held.values[start : start + part.size] = part
        with self._lock:
            held.missing -= part.size
            return None if held.missing else self._slabs.pop((name, slab)).values

    def _fold(self, name: str, slab: int, values: Float32[ndarray, " n"]) -> None:
        folded = self._folded[name]
        parts, error = folded.fold(slab, values.reshape(folded.shape[-2:]))
        square = float(np.square(values, dtype=np.float64).sum())
        self._squares[name, slab] = error, square, self._added(name, slab * values.size, values)
        for part, array in parts.items():
            if folded.parts[part] in self._stored:
                self._writer.place(folded.parts[part], array.reshape(-1), slab * array.size)

    def _added(self, name: str, first: int, values: Float32[ndarray, " n"]) -> float:
        """The square of what a slab adds to the base."""
        total = 0.0
        for start in range(0, values.size, _CHUNK):
            part = values[start : start + _CHUNK]
            base = self._base(name, first + start, first + start + part.size)
            total += float(np.square(part - base, dtype=np.float64).sum())
        return total
