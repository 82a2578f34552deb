"""FP8 and INT8: a byte for each weight, and a scale for each block, row or matrix.

transformers' `fp8`, which DeepSeek uses, names the scale `weight_scale_inv`, fbgemm and
compressed-tensors `weight_scale`; all multiply by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dppa_core.checkpoints.low_bit.alphabets import FLOAT8, integers
from dppa_core.checkpoints.low_bit.folded import Folded, Layout
from dppa_core.checkpoints.low_bit.packed import Packed
from dppa_core.checkpoints.low_bit.source import ANY, StoredTensors
from dppa_core.errors import DamagedCheckpoint, shown

BYTES = (*FLOAT8, "I8")
SCALES = ("F32", "BF16", "F16", "F8_E8M0", "U8")


def find(source: StoredTensors) -> Iterator[Folded]:
    """The tensors of `fp8`: blocks of `weight_block_size`, or one scale for the matrix."""
    block = source.settings.get("weight_block_size")
    sizes = isinstance(block, list) and len(block) == 2 and all(type(n) is int for n in block)
    if block is not None and not (sizes and min(block) > 0):
        raise DamagedCheckpoint(
            f"{source.label}: weight_block_size must be two whole numbers above 0, got "
            f"{shown(block)}."
        )
    yield from _of_bytes(source, "_scale_inv", block)


def find_by_rows(source: StoredTensors) -> Iterator[Folded]:
    """The tensors of `fbgemm_fp8`: a scale for each row."""
    yield from _of_bytes(source, "_scale", None)


def _of_bytes(source: StoredTensors, suffix: str, block: list[int] | None) -> Iterator[Folded]:
    for name in sorted(name for name, entry in source.stored.items() if entry.dtype in FLOAT8):
        yield of_bytes(source, name, {"codes": name, "scales": name + suffix}, block)


def of_bytes(
    source: StoredTensors, name: str, parts: Mapping[str, str], block: list[int] | None
) -> Folded:
    """A tensor of bytes; without a block its scale is of each row, or of the matrix."""
    codes = source.check(name, name, BYTES, (ANY, ANY), (ANY, ANY, ANY))
    *slabs, rows, columns = codes.shape
    stored = {"codes": codes}
    if block is None:
        single = [(), (1,), (1, 1)] if not slabs else [(*slabs,), (*slabs, 1), (*slabs, 1, 1)]
        shapes = [(*slabs, rows, 1), *single]
    else:
        shapes = [(*slabs, -(-rows // block[0]), -(-columns // block[1]))]
    stored["scales"] = source.check(name, parts["scales"], SCALES, *shapes)
    if "zeros" in parts:
        stored["zeros"] = source.check(name, parts["zeros"], ("I8",), stored["scales"].shape)
    if block is None:
        by_row = stored["scales"].shape == (*slabs, rows, 1)
        block = [1 if by_row else max(rows, 1), max(columns, 1)]
    layout = Layout(rows, columns, (block[0], block[1]), slabs[0] if slabs else None)
    alphabet = FLOAT8[codes.dtype] if codes.dtype in FLOAT8 else integers(8)
    return Packed(name, parts, stored, source, layout, alphabet)
