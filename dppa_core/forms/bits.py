"""Bits: every element as a step of a few bits, with one scale a block (1 bit: arXiv:2402.10193)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8, UInt16
from numpy import ndarray

from dppa_core.errors import InvalidValue, many
from dppa_core.forms.contract import Codes, Delta, Form, Place, code, factor_field, times
from dppa_core.parameter_fields import Parameters, check_fields, choice, whole_number
from dppa_core.pruning.floats import from_float32, to_float32

WIDTHS = (1, 2, 4, 8)
BLOCK = 64
"""Elements of a block."""
_GAUSSIAN_STEPS = {1: 1.596, 2: 0.9957, 4: 0.3352, 8: 0.03076}
"""The best step for Gaussian values of deviation 1 (Max, Quantizing for minimum distortion, 1960;
8 bits: computed): the search begins there."""
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class BitsParameters(Parameters):
    """Settings of bits."""

    bits: int = whole_number(
        1, title="Bits", text="Bits of each element: 1 (its sign), 2, 4 or 8.", span=(1, 8)
    )
    block: str = choice(
        "row",
        title="Scale by",
        text="Elements that share a scale of 16 bits: a matrix, a row, or a block of 64 in a row.",
        choices=("matrix", "row", "block"),
    )
    factor: float = factor_field()

    def __post_init__(self) -> None:
        check_fields(self)
        if self.bits not in WIDTHS:
            raise InvalidValue(f"bits must be 1, 2, 4 or 8, got {self.bits}.")


def block_columns(block: str, shape: tuple[int, int]) -> tuple[int, int]:
    """Blocks as rows of a matrix: the shape to cut them from, and the elements of a block."""
    if block == "matrix":
        return shape[0] * shape[1], shape[0] * shape[1]
    return shape[1], shape[1] if block == "row" else min(BLOCK, shape[1])


def to_steps(
    values: Float32[ndarray, "rows columns"], size: int, bits: int
) -> tuple[UInt8[ndarray, " bytes"], UInt16[ndarray, " blocks"]]:
    """Every element as one of 2**bits steps, and the step of each block of `size` as bfloat16.

    Steps lie at ±1/2, ±3/2 …; the step of a block is the one of least squares, after some rounds.
    """
    blocks = _blocks(values, size)
    inside = np.isfinite(blocks)
    sizes, top = np.maximum(np.abs(np.where(inside, blocks, 0)), 0), 2 ** (bits - 1)
    squares = np.square(sizes, dtype=np.float64).sum(axis=1) / np.maximum(inside.sum(axis=1), 1)
    step = np.minimum(np.sqrt(squares) * _GAUSSIAN_STEPS[bits], sizes.max(axis=1) / (top - 0.5))
    for _ in range(_ROUNDS):
        step = to_float32(from_float32(step.astype(np.float32), "BF16"), "BF16")
        nearest = _nearest(sizes, step, top)
        levels = np.where(inside, nearest + np.float32(0.5), 0)
        length = np.square(levels, dtype=np.float64).sum(axis=1)
        step = (sizes * levels).sum(axis=1, dtype=np.float64) / np.maximum(length, 0.25)
    rounded = from_float32(step.astype(np.float32), "BF16")
    nearest = _nearest(sizes, to_float32(rounded, "BF16"), top)
    codes = np.where(np.signbit(blocks), top - 1 - nearest, top + nearest)[inside]
    return _pack(codes.astype(np.uint8), bits), rounded


def read_steps(
    codes: Codes, shape: tuple[int, int], size: int, bits: int, place: Place
) -> Float32[ndarray, "rows columns"]:
    """The elements that `to_steps` wrote into `codes` and `steps`."""
    numel, blocks = shape[0] * shape[1], shape[0] * -(-shape[1] // size)
    packed = code(codes, "codes", np.uint8, (-(-numel * bits // 8),), place)
    steps = code(codes, "steps", np.uint16, (blocks,), place)
    levels = _unpack(packed, bits, numel).astype(np.float32).reshape(shape)
    levels -= np.float32(2 ** (bits - 1) - 0.5)
    by_row = to_float32(steps, "BF16").reshape(shape[0], -1)
    levels *= np.repeat(by_row, size, axis=1)[:, : shape[1]]
    return levels


def _blocks(values: Delta, size: int) -> Float32[ndarray, "blocks size"]:
    """One block a row; the last of a row of the matrix is filled with NaN."""
    rest = -values.shape[1] % size
    wide = np.pad(values, ((0, 0), (0, rest)), constant_values=np.nan) if rest else values
    return wide.reshape(-1, size)


def _nearest(
    sizes: Float32[ndarray, "blocks size"], step: Float32[ndarray, " blocks"], top: int
) -> Float32[ndarray, "blocks size"]:
    with np.errstate(divide="ignore", invalid="ignore"):
        counts = np.floor(sizes / step[:, None])
    return np.asarray(np.clip(np.nan_to_num(counts, nan=0, posinf=0), 0, top - 1))


def _pack(codes: UInt8[ndarray, " n"], bits: int) -> UInt8[ndarray, " bytes"]:
    """Codes side by side in bytes, the first in the lowest bits."""
    each = 8 // bits
    wide = np.pad(codes, (0, -codes.size % each)).reshape(-1, each)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return np.asarray(np.bitwise_or.reduce(wide << shifts, axis=1), np.uint8)


def _unpack(packed: UInt8[ndarray, " bytes"], bits: int, count: int) -> UInt8[ndarray, " n"]:
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    mask = np.uint8(2**bits - 1)
    return np.asarray((packed[:, None] >> shifts) & mask).ravel()[:count]


def encode(delta: Delta, parameters: BitsParameters, place: Place) -> Codes:
    """Steps, and a scale for each block."""
    columns, size = block_columns(parameters.block, delta.shape)
    codes, steps = to_steps(delta.reshape(-1, columns), size, parameters.bits)
    return {"codes": codes, "steps": steps}


def decode(codes: Codes, shape: tuple[int, int], parameters: BitsParameters, place: Place) -> Delta:
    """Each element as its step times the scale of its block."""
    columns, size = block_columns(parameters.block, shape)
    flat = (shape[0] * shape[1] // columns, columns)
    return read_steps(codes, flat, size, parameters.bits, place).reshape(shape)


def nbytes(shape: tuple[int, int], parameters: BitsParameters) -> int:
    """Of all steps, and of the scales of their blocks."""
    columns, size = block_columns(parameters.block, shape)
    numel = shape[0] * shape[1]
    return -(-numel * parameters.bits // 8) + 2 * (numel // columns) * -(-columns // size)


def label(parameters: BitsParameters) -> str:
    """As "1 bit", or "1 bit by matrix"."""
    bits = many(parameters.bits, "bit")
    by = "" if parameters.block == "row" else f" by {parameters.block}"
    return f"{bits}{by}{times(parameters.factor)}"


FORM = Form(
    name="bits",
    title="Few bits",
    paper="arXiv:2402.10193",
    summary="Keeps every element in 1, 2, 4 or 8 bits, with one scale a matrix, row or block.",
    parameters=BitsParameters,
    label=label,
    nbytes=nbytes,
    encode=encode,
    decode=decode,
)
