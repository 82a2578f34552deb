"""bitsandbytes, read only: INT8 by rows, and NF4 or FP4 in flat blocks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from dppa_core.checkpoints.low_bit.alphabets import integers
from dppa_core.checkpoints.low_bit.folded import Folded, Layout
from dppa_core.checkpoints.low_bit.packed import Packed
from dppa_core.checkpoints.low_bit.rounding import Numbers
from dppa_core.checkpoints.low_bit.source import StoredTensors
from dppa_core.errors import DamagedCheckpoint

_STATE = "quant_state.bitsandbytes__"


class ByRows(Packed):
    """INT8: the largest of each row, which stands for 127."""

    def scales(self, slab: int) -> Numbers:
        return self.floats("scales").reshape(-1, 1) / np.float32(127)


@dataclass(frozen=True, eq=False)
class Flat(Folded):
    """4 bits: the first of two numbers in the upper half of a byte, in blocks over all rows."""

    sizes: tuple[int, ...]
    block: int
    """Numbers that share a scale."""
    nested: tuple[int, float] = field(default=(0, 0.0))
    """Scales that share a scale of their own, and what is added to them; 0 if they are plain."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.sizes

    def elements(self, start: int, stop: int) -> Float32[ndarray, " n"]:
        packed = self.part("codes").reshape(-1)[start // 2 : -(-stop // 2)]
        codes = np.stack([packed >> 4, packed & 15], axis=1).reshape(-1)
        numbers = self.floats("map")[codes[start % 2 :][: stop - start]]
        first, last = start // self.block, -(-stop // self.block)
        scales = self.finite(self._scales(first, last))
        return np.asarray(numbers * scales[np.arange(start, stop) // self.block - first])

    def _scales(self, first: int, last: int) -> Float32[ndarray, " blocks"]:
        stored = self.part("scales")[first:last]
        if not self.nested[0]:
            return stored.astype(np.float32)
        outer = self.floats("nested scales")[np.arange(first, last) // self.nested[0]]
        return np.asarray(self.floats("nested map")[stored] * outer + np.float32(self.nested[1]))


def find(source: StoredTensors) -> Iterator[Folded]:
    """The tensors of 8 bits, then those of 4."""
    for name, module in source.named(r"(.+)\.weight"):
        codes, scales = source.stored[name], f"{module}.SCB"
        if codes.dtype != "I8" or len(codes.shape) != 2:
            continue
        stored = {"codes": codes, "scales": source.check(name, scales, ("F32",), codes.shape[:1])}
        layout = Layout(codes.shape[0], codes.shape[1], (1, codes.shape[1]))
        parts = {"codes": name, "scales": scales}
        yield ByRows(name, parts, stored, source, layout, integers(8))
    for state, name in source.named(rf"(.+)\.{_STATE}(?:nf4|fp4)"):
        yield _flat(source, name, state)


def _flat(source: StoredTensors, name: str, state: str) -> Folded:
    parts = {"codes": name, "scales": f"{name}.absmax", "map": f"{name}.quant_map", "state": state}
    try:
        values = json.loads(bytes(source.read(state)))
        sizes, block = tuple(map(int, values["shape"])), int(values["blocksize"])
        nested = int(values.get("nested_blocksize", 0)), float(values.get("nested_offset", 0))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedCheckpoint(
            f"{source.label}: {state} does not say shape and block ({error}). A file overwritten "
            "in part is the usual cause."
        ) from error
    numel = math.prod(sizes)
    if numel <= 0 or block <= 0 or min(nested[0], *sizes) < 0:
        raise DamagedCheckpoint(f"{source.label}: {state} says shape {sizes} and block {block}.")
    blocks = -(-numel // block)
    stored = {
        "codes": source.check(name, name, ("U8",), (-(-numel // 2), 1), (1, -(-numel // 2))),
        "scales": source.check(name, parts["scales"], ("U8" if nested[0] else "F32",), (blocks,)),
        "map": source.check(name, parts["map"], ("F32",), (16,)),
        "state": source.present(name, state),
    }
    if nested[0]:
        parts |= {
            "nested scales": f"{name}.nested_absmax",
            "nested map": f"{name}.nested_quant_map",
        }
        sizes_of = {"nested scales": (-(-blocks // nested[0]),), "nested map": (256,)}
        for part, shape in sizes_of.items():
            stored[part] = source.check(name, parts[part], ("F32",), shape)
    return Flat(name, parts, stored, source, sizes, block, nested)
