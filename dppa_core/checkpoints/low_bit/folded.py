"""A tensor that is stored as several: codes of few bits, scales, zero points."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray

from dppa_core.checkpoints.low_bit.alphabets import FLOAT8, Alphabet, Codes
from dppa_core.checkpoints.low_bit.lazy import Unfolded
from dppa_core.checkpoints.low_bit.rounding import BlockRounding, Grid, Numbers
from dppa_core.checkpoints.low_bit.source import StoredTensor, StoredTensors
from dppa_core.errors import NonFiniteWeights
from dppa_core.pruning.floats import from_float32, to_float32

POWERS = ("U8", "F8_E8M0")
"""Dtypes of scales that are exponents of two, as of microscaling."""
_EXPONENTS = np.append(np.ldexp(np.float32(1), np.arange(255) - 127), np.float32(np.nan))
Span = tuple[int, int]
"""First row or column, and the one after the last."""
Window = Callable[[int, Span, Span], Numbers]
"""A part of a slab."""
Rounds = Callable[[Numbers], tuple[Numbers, Numbers]]
"""Numbers -> the nearest ones that can be stored, and from each the distance to the next, away from
zero."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How codes lie, and their blocks."""

    rows: int
    columns: int
    block: tuple[int, int]
    """Rows and columns that share a scale."""
    slabs: int | None = None
    """Matrices in a tensor of three dimensions, as experts."""
    transposed: bool = False
    """The tensor has a row for each of these columns."""


@dataclass(frozen=True, eq=False)
class Folded(ABC):
    """One tensor of a model that is stored as several."""

    name: str
    parts: Mapping[str, str]
    """Part of the format, as "scales" -> name of the stored tensor."""
    stored: Mapping[str, StoredTensor]
    """Header entries, by part."""
    source: StoredTensors = field(repr=False)

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""

    @abstractmethod
    def elements(self, start: int, stop: int) -> Float32[ndarray, " n"]:
        """The elements from a flat index to another."""

    def raw(self) -> Unfolded:
        """The tensor's elements, flat; each is unfolded when it is read."""
        fresh = replace(self)  # what it keeps of its scales goes with the array
        return Unfolded.of(fresh.elements, 0, math.prod(self.shape))

    def part(self, part: str) -> Shaped[ndarray, ...]:
        """A stored tensor in its shape."""
        return self.source.read(self.parts[part]).reshape(self.stored[part].shape)

    def floats(self, part: str) -> Float32[ndarray, ...]:
        """A stored tensor of floats, as float32."""
        return as_floats(self.part(part), self.stored[part].dtype)

    def finite(self, scales: Float32[ndarray, ...]) -> Float32[ndarray, ...]:
        """Scales that were read; NonFiniteWeights names the stored tensor that is not finite."""
        if np.isfinite(scales).all():
            return scales
        for part in ("nested scales", "nested map", "scales"):
            values = self.floats(part).reshape(-1) if part in self.parts else np.zeros(1)
            first = int(np.argmin(np.isfinite(values)))
            if not np.isfinite(values[first]):
                raise self.unusable(part, first, "scale must be finite")
        return scales

    def unusable(self, part: str, element: int, rule: str) -> NonFiniteWeights:
        """The error of an element of a stored part that no weight can be computed with."""
        value = self.floats(part).reshape(-1)[element]
        return NonFiniteWeights(
            f"{self.source.label}: {self.parts[part]} holds {value} at element {element}; every "
            f"{rule}. A file overwritten in part is the usual cause."
        )


@dataclass(frozen=True, eq=False)
class Blocked(Folded):
    """A tensor of codes, with a scale and perhaps a zero point for every block of them.

        W = (number of the code - zero point) * scale

    A format says where codes and scales lie; windows and rounding are the same for all.
    """

    layout: Layout
    alphabet: Alphabet
    symmetric: bool = True
    """Zero points stay as they are stored."""
    _grid: dict[int, Grid] = field(default_factory=dict, init=False, repr=False)
    """The scales and zero points of the slab that was read last."""

    @property
    def shape(self) -> tuple[int, ...]:
        layout = self.layout
        matrix = (layout.rows, layout.columns)
        matrix = matrix[::-1] if layout.transposed else matrix
        return matrix if layout.slabs is None else (layout.slabs, *matrix)

    @abstractmethod
    def codes(self, slab: int, rows: Span, columns: Span) -> Codes:
        """A window of the codes."""

    @abstractmethod
    def scales(self, slab: int) -> Numbers:
        """The scale of every block."""

    def zeros(self, slab: int) -> Numbers | None:
        """The zero point of every block; None if all are 0."""
        return None

    @abstractmethod
    def store(
        self, slab: int, codes: Codes, scales: Numbers, zeros: Numbers | None
    ) -> Mapping[str, Shaped[ndarray, ...]]:
        """The stored parts that hold a slab of these codes, scales and zero points."""

    @cached_property
    def column_blocks(self) -> Shaped[ndarray, " columns"]:
        """Column -> block."""
        return np.arange(self.layout.columns) // self.layout.block[1]

    def slab(self, part: str, slab: int) -> Shaped[ndarray, ...]:
        """A stored tensor in its shape, or the slab of it."""
        whole = self.part(part)
        return whole if self.layout.slabs is None else whole[slab, ...]

    def elements(self, start: int, stop: int) -> Float32[ndarray, " n"]:
        return self._flat(start, stop, self._numbers)

    @property
    def common(self) -> bool:
        """A slab has one scale, or one that all of its blocks depend on."""
        height, width = self.layout.block
        return height >= self.layout.rows and width >= self.layout.columns

    def rounds(
        self,
        slab: int,
        rows: Span,
        columns: Shaped[ndarray, " columns"],
        weight: Numbers,
        extremes: tuple[float, float] | None = None,
    ) -> Rounds:
        """What rounds a window of a slab by the scales that `fold` would choose for it.

        Args:
            rows: Of whole blocks, or of a part of the only block.
            columns: All of some blocks, block by block.
            weight: The numbers to fold, in the layout's order of rows and columns.
            extremes: The slab's least and largest number, if `common` and this is a part of it.
        """
        height = self.layout.block[0]
        across, at = np.unique(self.column_blocks[columns], return_inverse=True)
        blocks = BlockRounding(np.ascontiguousarray(weight), height, at)
        inside = np.ix_(np.arange(rows[0] // height, -(-rows[1] // height)), across)
        scale, zero = self._grid_of(slab)
        stored = scale[inside], None if zero is None else zero[inside]
        grids = self.grids(*blocks.extremes(), stored, extremes)
        grid = blocks.choose(grids, self.alphabet)[0]
        return partial(blocks.nearest, self.alphabet, grid)

    def fold(self, slab: int, weight: Numbers) -> tuple[Mapping[str, Any], float]:
        """The parts that hold a slab of the tensor, and the square of what rounding takes.

        Every block keeps its scale unless another one rounds it with a smaller error, so that what
        did not change stays as it was.
        """
        weight = np.ascontiguousarray(weight.T if self.layout.transposed else weight)
        order = np.argsort(self.column_blocks, kind="stable")  # groups may be scattered
        scattered = (order[1:] < order[:-1]).any()
        at = self.column_blocks[order]
        blocks = BlockRounding(weight[:, order] if scattered else weight, self.layout.block[0], at)
        stored = self._grid_of(slab)
        grids = self.grids(*blocks.extremes(), stored, None)
        grid, error = blocks.choose(grids, self.alphabet)
        codes = blocks.codes(self.alphabet, grid)
        if scattered:
            codes = codes[:, np.argsort(order)]
        return self.store(slab, codes, *grid), error

    def grids(
        self, low: Numbers, high: Numbers, stored: Grid, extremes: tuple[float, float] | None
    ) -> list[Grid]:
        """Scales and zero points to choose from for blocks of these extremes, the stored first.

        Args:
            extremes: The whole slab's, if these blocks are a part of it and its scale is `common`.
        """
        alphabet, zero = self.alphabet, stored[1]
        if extremes is not None:
            low, high = (np.full_like(low, number) for number in extremes)
        if not alphabet.whole:
            largest = np.float32(alphabet.largest)
            return [stored, (self.held(np.maximum(high, -low) / largest), None)]
        first, last = alphabet.values[[0, -1]]
        below, above = (0, 0) if zero is None else (zero, zero)
        room = np.maximum(below - first, 1), np.maximum(last - above, 1)
        grids = [stored, (self.held(np.maximum(-low / room[0], high / room[1])), zero)]
        if not self.symmetric:
            low, high = np.minimum(low, 0), np.maximum(high, 0)
            scale = self.held((high - low) / (last - first))
            steps = low / np.where(scale == 0, np.float32(1), scale)
            grids.append((scale, np.clip(np.rint(first - steps), first, last)))
        return grids

    def held(self, scales: Numbers) -> Numbers:
        """Scales as the format holds them."""
        dtype = self.stored["scales"].dtype
        return as_floats(as_stored(scales, dtype), dtype)

    def _flat(self, start: int, stop: int, window: Window) -> Float32[ndarray, " n"]:
        """The elements of a range, from windows of whole rows."""
        height, width = self.shape[-2:]
        first, last = start // width, -(-stop // width)
        pieces = []
        for slab in range(first // height, -(-last // height)):
            top = slab * height
            rows, every = (max(first - top, 0), min(last - top, height)), (0, width)
            transposed = self.layout.transposed
            pieces.append(window(slab, every, rows).T if transposed else window(slab, rows, every))
        whole = pieces[0] if len(pieces) == 1 else np.concatenate(pieces or [np.empty(0, "f4")])
        return np.ascontiguousarray(whole).reshape(-1)[start - first * width : stop - first * width]

    def _numbers(self, slab: int, rows: Span, columns: Span) -> Numbers:
        numbers = self.alphabet.values[self.codes(slab, rows, columns)]
        if self._grid_of(slab)[1] is not None:
            numbers -= self._zero(slab, rows, columns)
        numbers *= self._scale(slab, rows, columns)
        return np.asarray(numbers)

    def _scale(self, slab: int, rows: Span, columns: Span) -> Numbers:
        return self._spread(self._grid_of(slab)[0], rows, columns)

    def _zero(self, slab: int, rows: Span, columns: Span) -> Numbers:
        zeros = self._grid_of(slab)[1]
        return self._spread(np.zeros((1, 1), "f4") if zeros is None else zeros, rows, columns)

    def _grid_of(self, slab: int) -> Grid:
        grid = self._grid.get(slab)
        if grid is None:
            grid = self.finite(self.scales(slab)), self.zeros(slab)
            self._grid.clear()
            self._grid[slab] = grid
        return grid

    def _spread(self, blocks: Numbers, rows: Span, columns: Span) -> Numbers:
        """The value of each element's block."""
        if len(blocks) > 1:
            blocks = blocks[np.arange(*rows) // self.layout.block[0]]
        if blocks.shape[1] > 1:
            blocks = np.take(blocks, self.column_blocks[slice(*columns)], axis=1)
        return np.broadcast_to(blocks, (rows[1] - rows[0], columns[1] - columns[0]))


def as_floats(raw: Shaped[ndarray, ...], dtype: str) -> Float32[ndarray, ...]:
    """Floats of any dtype as float32."""
    if dtype in FLOAT8:
        return np.asarray(FLOAT8[dtype].values[raw])
    if dtype in POWERS:
        return np.asarray(_EXPONENTS[raw])
    return to_float32(raw, dtype)


def as_stored(values: Float32[ndarray, ...], dtype: str) -> Shaped[ndarray, ...]:
    """Positive float32 rounded to a dtype; powers of two are those at or below."""
    if dtype in FLOAT8:
        return FLOAT8[dtype].encode(values)
    if dtype in POWERS:
        return np.asarray(np.clip(np.frexp(values)[1] + 126, 0, 254).astype(np.uint8))
    return from_float32(values, dtype)
