"""Rounds a matrix to few bits: for each block of it, the best of several scales."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float32, Float64, Shaped
from numpy import ndarray

from dppa_core.checkpoints.low_bit.alphabets import Alphabet, Codes

Numbers = Float32[ndarray, "_ _"]
Grid = tuple[Numbers, Numbers | None]
"""Scale and zero point of every block."""
_BAND = 1 << 20
"""Elements rounded at a time."""


def encoded(
    alphabet: Alphabet, weight: Numbers, scale: Numbers, zero: Numbers | None
) -> tuple[Codes, Numbers]:
    """The nearest codes of some elements, and what they stand for."""
    units = weight / np.where(scale == 0, np.float32(1), scale)
    codes = alphabet.encode(units if zero is None else units + zero)
    numbers = alphabet.values[codes]
    return codes, (numbers if zero is None else numbers - zero) * scale


class BlockRounding:
    """Rounds a matrix by blocks, a band of rows at a time.

    Args:
        block_rows: Rows of a block.
        column_blocks: Column -> block, ascending.
    """

    def __init__(
        self, weight: Numbers, block_rows: int, column_blocks: Shaped[ndarray, " columns"]
    ) -> None:
        self._weight, self._height, self._at = weight, block_rows, column_blocks
        self._starts = np.flatnonzero(np.diff(column_blocks, prepend=-1))
        self._shape = (-(-len(weight) // block_rows), self._starts.size)

    def extremes(self) -> tuple[Numbers, Numbers]:
        """The least and the largest element of every block."""
        low, high = np.full(self._shape, np.inf, np.float32), np.full(self._shape, -np.inf, "f4")
        for rows, into in self._bands():
            part = self._weight[rows]
            low[into] = np.minimum(low[into], self._reduced(np.minimum, part, rows.start))
            high[into] = np.maximum(high[into], self._reduced(np.maximum, part, rows.start))
        return low, high

    def errors(self, alphabet: Alphabet, grid: Grid) -> Float64[ndarray, "_ _"]:
        """The squared error of every block."""
        errors = np.zeros(self._shape)
        for rows, into in self._bands():
            part = self._weight[rows]
            _, numbers = encoded(alphabet, part, *self._spread(grid, rows))
            errors[into] += self._reduced(np.add, np.square(numbers - part, dtype="f8"), rows.start)
        return errors

    def choose(self, grids: Sequence[Grid], alphabet: Alphabet) -> tuple[Grid, float]:
        """For every block the grid of least error, the first of equal ones; and the error."""
        errors = [self.errors(alphabet, grid) for grid in grids]
        choice, least = np.argmin(errors, axis=0), float(np.min(errors, axis=0).sum())
        scales = np.choose(choice, [scale for scale, _ in grids])
        if all(zero is None for _, zero in grids):
            return (scales, None), least
        zeros = [np.zeros_like(scales) if zero is None else zero for _, zero in grids]
        return (scales, np.choose(choice, zeros)), least

    def codes(self, alphabet: Alphabet, grid: Grid) -> Codes:
        """The codes of the whole matrix."""
        codes = np.empty(self._weight.shape, np.uint8)
        for rows, _ in self._bands():
            codes[rows] = encoded(alphabet, self._weight[rows], *self._spread(grid, rows))[0]
        return codes

    def nearest(self, alphabet: Alphabet, grid: Grid, values: Numbers) -> tuple[Numbers, Numbers]:
        """Other numbers in place of the matrix, rounded; and the distances from there to the next
        ones away from zero."""
        scale, zero = self._spread(grid, slice(0, len(values)))
        codes, numbers = encoded(alphabet, values, scale, zero)
        return numbers, alphabet.gaps[codes] * np.abs(scale)

    def _bands(self) -> Iterator[tuple[slice, slice]]:
        """Rows, and the rows of blocks that they are in."""
        step = max(1, _BAND // max(1, self._weight.shape[1]))
        step = -(-step // self._height) * self._height if self._height <= step else step
        for start in range(0, len(self._weight), step):
            stop = min(start + step, len(self._weight))
            yield slice(start, stop), slice(start // self._height, -(-stop // self._height))

    def _reduced(self, ufunc: np.ufunc, part: ndarray, start: int) -> ndarray:
        """A band reduced by blocks."""
        first = -(-start // self._height) * self._height
        rows = sorted({0, *range(first - start, len(part), self._height)})
        return ufunc.reduceat(ufunc.reduceat(part, rows, axis=0), self._starts, axis=1)

    def _spread(self, grid: Grid, rows: slice) -> tuple[Numbers, Numbers | None]:
        at = np.arange(rows.start, rows.stop) // self._height
        scale, zero = grid
        wide = np.take(scale[at], self._at, axis=1)
        return wide, None if zero is None else np.take(zero[at], self._at, axis=1)
