"""A sample of a tensor: what is added to the base, and what the merge's format would make of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.low_bit.folded import Blocked, Rounds, Span
from dppa_core.pruning.floats import from_float32, steps, to_float32

Numbers = Float32[ndarray, " *shape"]
Sums = Shaped[ndarray, " five"]
"""Squares of the rounding error and of what is added; weights that change, of those the ones that
keep the base's value, and the ones that change by less than a step."""

BLOCKS, BLOCK_NUMEL = 16, 256
"""Runs of elements that are read of a tensor, and their length: a page of memory or less each."""
WHOLE, WINDOW, WINDOWS = 1 << 16, 1 << 12, 16
"""Of a matrix of few bits: elements up to which it is read whole; otherwise those of a window of
whole blocks, and the most windows."""
_CHUNK = 1 << 20
_NOISE = np.float32(2**-10)
"""Share of a step below which an error is that of float32."""


@dataclass(frozen=True)
class AddedTensor:
    """A tensor of the base, and what models add to it."""

    base: tuple[Shaped[ndarray, " n"], str]
    """Elements as they are stored, flat, and their dtype."""
    tuned: tuple[tuple[Shaped[ndarray, " n"], str], ...]
    """The same of each model."""
    coefficients: tuple[float, ...]
    """Of each model."""

    @classmethod
    def of(
        cls,
        name: str,
        base: Checkpoint,
        tuned: Sequence[tuple[Checkpoint, str]],
        coefficients: Sequence[float],
    ) -> AddedTensor:
        """A tensor by its name in the base, and in each model."""
        models = tuple((model.raw(own), model.dtype(own)) for model, own in tuned)
        return cls((base.raw(name), base.dtype(name)), models, tuple(coefficients))

    @property
    def numel(self) -> int:
        """Number of elements."""
        return self.base[0].size

    def read(self, start: int, stop: int) -> tuple[Numbers, Numbers]:
        """The base's elements from a flat index to another, and what is added to them."""
        old = total = to_float32(self.base[0][start:stop], self.base[1])
        for (raw, dtype), coefficient in zip(self.tuned, self.coefficients, strict=True):
            total = total + np.float32(coefficient) * (to_float32(raw[start:stop], dtype) - old)
        return old, total - old


def runs_summed(tensor: AddedTensor, dtype: str) -> Sums:
    """The sums of a tensor that is written in a dtype, by its code, from evenly spaced runs."""

    def rounds(values: Numbers) -> tuple[Numbers, Numbers]:
        rounded = to_float32(from_float32(values, dtype), dtype)
        return rounded, steps(rounded, dtype)

    sums = np.zeros(5)
    for start in block_starts(tensor.numel):
        sums += _sums(*tensor.read(start, start + BLOCK_NUMEL), rounds)
    return sums * (tensor.numel / max(1, min(tensor.numel, BLOCKS * BLOCK_NUMEL)))


def windows_summed(tensor: AddedTensor, folded: Blocked, *, of_base: bool) -> tuple[Sums, int]:
    """The sums of a tensor that is written in few bits, and how many elements were read for them.

    Args:
        of_base: The base is stored so itself: its values are numbers of the format.
    """
    sums, summed, read = np.zeros(5), 0, 0
    extremes: dict[int, tuple[float, float]] = {}
    for slab, rows, columns in _windows(folded):
        whole = (rows[1] - rows[0]) * columns.size == folded.layout.rows * folded.layout.columns
        if folded.common and not whole and slab not in extremes:
            extremes[slab] = _extremes(tensor, folded, slab)
            read += folded.layout.rows * folded.layout.columns
        old, delta = _read_window(tensor, folded, slab, rows, columns)
        rounds = folded.rounds(slab, rows, columns, old + delta, extremes.get(slab))
        sums += _sums(old, delta, rounds, of_base=of_base)
        summed, read = summed + old.size, read + old.size
    return sums * (tensor.numel / max(1, summed)), read


def block_starts(numel: int) -> Iterator[int]:
    """First elements of evenly spaced blocks that do not overlap."""
    step = max(BLOCK_NUMEL, numel // BLOCKS)
    yield from islice(range(0, numel, step), BLOCKS)


def _sums(old: Numbers, delta: Numbers, rounds: Rounds, *, of_base: bool = False) -> Sums:
    total = old + delta
    (rounded, step), (base, base_step) = rounds(total), rounds(old)
    error = np.where(np.isfinite(rounded), rounded.astype(np.float64) - total, 0)
    error[np.abs(error) <= _NOISE * step] = 0
    changed = delta != 0
    kept = changed & (rounded == (old if of_base else base)) & (error != 0)
    below = changed & (np.abs(delta) < base_step)
    squares = np.square(error).sum(), np.square(delta, dtype=np.float64).sum()
    return np.array([*squares, changed.sum(), kept.sum(), below.sum()])


def _windows(folded: Blocked) -> Iterator[tuple[int, Span, Shaped[ndarray, " columns"]]]:
    """Slab, rows and columns of evenly spaced windows, in the order of the layout; all of a small
    tensor."""
    layout, order = folded.layout, np.argsort(folded.column_blocks, kind="stable")
    slabs = layout.slabs or 1
    if layout.rows * layout.columns <= WHOLE:
        for slab in _evenly(slabs, WINDOWS):
            yield slab, (0, layout.rows), order
        return
    height, width = layout.block
    height = 1 if height >= layout.rows and width >= layout.columns else height
    down, across = -(-layout.rows // height), -(-layout.columns // width)
    blocks = max(1, WINDOW // (height * width))
    # a row of the tensor is read whole: along it there are the blocks of a window
    lines, along = (across, down) if layout.transposed else (down, across)
    places = list(_evenly(lines * (1 if folded.common else slabs), WINDOWS))
    for number, place in enumerate(places):
        first = max(0, along - blocks) * number // max(1, len(places) - 1)
        one, several = (place % lines, place % lines + 1), (first, min(first + blocks, along))
        rows, columns = (several, one) if layout.transposed else (one, several)
        blocks_of = folded.column_blocks[order]
        inside = order[(blocks_of >= columns[0]) & (blocks_of < columns[1])]
        yield place // lines, (rows[0] * height, min(rows[1] * height, layout.rows)), inside


def _evenly(count: int, most: int) -> Iterator[int]:
    """At most so many of the numbers from 0, evenly spaced."""
    taken = min(count, most)
    yield from ((2 * number + 1) * count // (2 * taken) for number in range(taken))


def _read_window(
    tensor: AddedTensor,
    folded: Blocked,
    slab: int,
    rows: Span,
    columns: Shaped[ndarray, " columns"],
) -> tuple[Numbers, Numbers]:
    """A window of the base, and of what is added, in the order of the layout."""
    layout = folded.layout
    if layout.transposed:
        first, last = int(columns.min()), int(columns.max()) + 1
        width, height, own = layout.rows, layout.columns, columns - first
    else:
        (first, last), width, height, own = rows, layout.columns, layout.rows, columns
    top = slab * height
    both = tensor.read((top + first) * width, (top + last) * width)
    matrices = [part.reshape(-1, width) for part in both]
    if layout.transposed:
        old, delta = (part[own, rows[0] : rows[1]].T for part in matrices)
    else:
        old, delta = (part[:, own] for part in matrices)
    return np.ascontiguousarray(old), np.ascontiguousarray(delta)


def _extremes(tensor: AddedTensor, folded: Blocked, slab: int) -> tuple[float, float]:
    """The least and the largest number of a slab of the merge."""
    size = folded.layout.rows * folded.layout.columns
    low, high = np.inf, -np.inf
    for start in range(slab * size, (slab + 1) * size, _CHUNK):
        old, delta = tensor.read(start, min(start + _CHUNK, (slab + 1) * size))
        total = old + delta
        low, high = min(low, float(total.min())), max(high, float(total.max()))
    return low, high
