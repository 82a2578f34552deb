"""Writes tensors that arrive in slices as the parts of their formats."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray

from dppa_core.checkpoints.low_bit.formats import LowBitWeights
from dppa_core.checkpoints.low_bit.lazy import Unfolded

Losses = dict[str, tuple[float, float]]
"""Tensor -> the squares of what rounding took of it, and of it."""


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
    """

    def __init__(self, writer: Places, weights: LowBitWeights) -> None:
        self._writer, self._stored = writer, frozenset(writer.names)
        tensors = {name: weights.blocked(name) for name in weights.tensors}
        self._folded = {name: folded for name, folded in tensors.items() if folded}
        logical = {part: f.name for f in self._folded.values() for part in f.parts.values()}
        names = (logical.get(name, name) for name in writer.names if name not in weights.beside)
        self.names = tuple(dict.fromkeys(names))
        """Names of the model's tensors, in file order."""
        self._slabs: dict[tuple[str, int], _Slab] = {}
        self._squares: dict[tuple[str, int], tuple[float, float]] = {}
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
        for (name, _), (error, square) in sorted(self._squares.items()):
            before = sums.get(name, (0.0, 0.0))
            sums[name] = before[0] + error, before[1] + square
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
        self._squares[name, slab] = error, float(np.square(values, dtype=np.float64).sum())
        for part, array in parts.items():
            if folded.parts[part] in self._stored:
                self._writer.place(folded.parts[part], array.reshape(-1), slab * array.size)
