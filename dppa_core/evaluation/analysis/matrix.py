"""One module in detail: the rows and columns that hold most of its kept delta.

The tensors are read once, in blocks of rows; memory does not grow with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.chunks import CHUNK
from dppa_core.errors import UnknownName, did_you_mean
from dppa_core.evaluation.analysis.ranked_pair import RankedTensor, open_pairs
from dppa_core.parameter_fields import check_number
from dppa_core.progress import Stop, check
from dppa_core.pruning.floats import FLOATS, to_float32
from dppa_core.pruning.module_groups import Module, find_modules
from dppa_core.pruning.overlap import Reach
from dppa_core.pruning.partition import Selection
from dppa_core.pruning.tie_breaking import Cut, tensor_seed


@dataclass(frozen=True, slots=True)
class Line:
    """A row or a column of a module."""

    index: int
    """From 0; with several experts in one tensor, rows are numbered through."""
    share: float
    """Share of the module's sum of kept d², in [0, 1]."""
    kept: int


@dataclass(frozen=True, slots=True)
class MatrixCloseup:
    """The kept elements of one module by rows and columns, as stored on disk."""

    module: str
    shape: tuple[int, int]
    """Rows, columns."""
    kept: int
    square: float
    """Sum of kept d²."""
    rows: tuple[Line, ...]
    """The rows with most kept d², largest first; rows that keep nothing are left out."""
    columns: tuple[Line, ...]


def look_closely(
    base: str,
    finetuned: str,
    module: str,
    selection: Selection | None = None,
    *,
    significance: str = "magnitude",
    top: int = 5,
    public: bool = False,
    stop: Stop | None = None,
) -> MatrixCloseup:
    """Find the rows and columns of a module that hold most of its kept d².

    Args:
        module: Short name, as "layers.3.mlp.down_proj".
        selection: The kept elements, from a level of a plan; every change if None.
        significance: The score that ranks elements in that plan.

    Raises:
        UnknownName: no such module.
        DamagedCheckpoint: the files differ from those the plan was made for.
        CheckpointError, IncompatibleCheckpoints: see `open_checkpoint` and `match_tensors`.
    """
    (pair,) = open_pairs(base, (finetuned,), significance, public=public, stop=stop)
    matrix = find_module(pair.base, module)
    tensor = pair.tensor(matrix.tensor)
    everything = Reach([Cut(0.0, 0)], tensor_seed(matrix.tensor))
    reach = everything if selection is None else tensor.reach([selection])
    columns = matrix.shape[-1]
    shape = matrix.numel // columns, columns
    squares, counts = _line_sums(tensor, reach, shape, stop)
    total = math.fsum(squares[0])
    lines = [_strongest(*sums, total, top) for sums in zip(squares, counts, strict=True)]
    return MatrixCloseup(matrix.name, shape, int(counts[0].sum()), total, *lines)


def find_module(base: Checkpoint, name: str) -> Module:
    """The module with this short name; raises UnknownName if there is none."""
    shapes = {n: base.shape(n) for n in base.names() if base.dtype(n) in FLOATS}
    modules = {module.name: module for module in find_modules(shapes)}
    if name not in modules:
        raise UnknownName(f"No module {name!r}. {did_you_mean(name, modules)}")
    return modules[name]


def _line_sums(
    tensor: RankedTensor, reach: Reach, shape: tuple[int, int], stop: Stop | None
) -> tuple[list[Float64[ndarray, " n"]], list[Int64[ndarray, " n"]]]:
    """d² and number of the kept elements, by rows and by columns; reads the tensor once."""
    rows, columns = shape
    squares = [np.zeros(length) for length in shape]
    counts = [np.zeros(length, np.int64) for length in shape]
    block = max(CHUNK // columns, 1)
    for first in range(0, rows, block):
        check(stop)
        last = min(first + block, rows)
        parts = [
            _kept(tensor, reach, start, min(start + CHUNK, last * columns))
            for start in range(first * columns, last * columns, CHUNK)
        ]
        kept = np.concatenate(parts).reshape(last - first, columns)
        square, inside = kept * kept, kept != 0
        squares[0][first:last] = square.sum(axis=1)
        squares[1] += square.sum(axis=0)
        counts[0][first:last] = inside.sum(axis=1)
        counts[1] += inside.sum(axis=0)
    return squares, counts


def _kept(tensor: RankedTensor, reach: Reach, start: int, end: int) -> Float64[ndarray, " n"]:
    delta, magnitudes = tensor.chunk(start, end)
    return np.where(reach.of(magnitudes, start) > 0, delta, 0).astype(np.float64)


def _strongest(
    squares: Float64[ndarray, " n"], counts: Int64[ndarray, " n"], total: float, top: int
) -> tuple[Line, ...]:
    order = np.argsort(-squares, kind="stable")[:top]
    return tuple(
        Line(int(i), float(squares[i] / total), int(counts[i])) for i in order if squares[i] > 0
    )


MAX_EXCERPT_LINES = 64
"""Most rows, or columns, of an excerpt."""


@dataclass(frozen=True, slots=True, eq=False)
class MatrixExcerpt:
    """The first rows and columns of a module, as stored on disk."""

    module: str
    """Short name, as "layers.3.mlp.down_proj"."""
    shape: tuple[int, int]
    """Rows and columns of the whole module."""
    base: Float32[ndarray, "R C"]
    finetuned: Float32[ndarray, "R C"]

    @property
    def delta(self) -> Float32[ndarray, "R C"]:
        """d = finetuned - base, in float32."""
        delta: Float32[ndarray, "R C"] = self.finetuned - self.base
        return delta


def read_excerpt(
    base: str,
    finetuned: str,
    module: str,
    rows: int = 6,
    columns: int = 6,
    *,
    public: bool = False,
    stop: Stop | None = None,
) -> MatrixExcerpt:
    """Read the upper left corner of a module in both models.

    Args:
        rows: Largest number of rows, 1 to 64.
        columns: Largest number of columns, 1 to 64.

    Raises:
        InvalidValue: rows or columns out of range.
        UnknownName: no such module.
        CheckpointError, IncompatibleCheckpoints: see `open_checkpoint` and `match_tensors`.
    """
    for name, size in (("rows", rows), ("columns", columns)):
        check_number(name, size, 1, MAX_EXCERPT_LINES)
    (pair,) = open_pairs(base, (finetuned,), public=public, stop=stop)
    matrix = find_module(pair.base, module)
    width = matrix.shape[-1]
    return MatrixExcerpt(
        matrix.name,
        (matrix.numel // width, width),
        _corner(pair.base, matrix.tensor, width, rows, columns),
        _corner(pair.tuned, pair.places[matrix.tensor], width, rows, columns),
    )


def _corner(
    checkpoint: Checkpoint, tensor: str, width: int, rows: int, columns: int
) -> Float32[ndarray, "R C"]:
    raw = checkpoint.raw(tensor)[: rows * width]
    return np.array(to_float32(raw, checkpoint.dtype(tensor)).reshape(-1, width)[:, :columns])
