"""MXFP4: FP4 by microscaling, a power of two for 32 numbers; gpt-oss stores its experts so."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dppa_core.checkpoints.low_bit.alphabets import E2M1
from dppa_core.checkpoints.low_bit.folded import Folded, Layout
from dppa_core.checkpoints.low_bit.packed import Packed
from dppa_core.checkpoints.low_bit.rounding import Grid, Numbers
from dppa_core.checkpoints.low_bit.source import ANY, StoredTensors

_BLOCK = 32


class Microscaled(Packed):
    """Scales that are powers of two."""

    def grids(
        self, low: Numbers, high: Numbers, stored: Grid, extremes: tuple[float, float] | None
    ) -> list[Grid]:
        """The power that the specification takes, which cuts off the largest, and the next one."""
        largest = np.maximum(high, -low)
        power = self.held(largest / np.float32(4))
        return [stored, (power, None), (power * np.float32(2), None)]


def find(source: StoredTensors) -> Iterator[Folded]:
    """The experts, whose rows of codes are columns of the tensor that the model computes with."""
    for codes, name in source.named(r"(.+)_blocks"):
        parts = {"codes": codes, "scales": f"{name}_scales"}
        blocks = source.check(name, codes, ("U8",), (ANY, ANY, ANY, _BLOCK // 2))
        scales = source.check(name, parts["scales"], ("U8",), blocks.shape[:3])
        layout = Layout(
            blocks.shape[1],
            blocks.shape[2] * _BLOCK,
            (1, _BLOCK),
            slabs=blocks.shape[0],
            transposed=True,
        )
        stored = {"codes": blocks, "scales": scales}
        yield Microscaled(name, parts, stored, source, layout, E2M1)
