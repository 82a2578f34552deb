"""The weights of a tensor that differ from the base, as a mask and values: packs of version 2.

For every tensor that differs the pack holds `mask/NAME`, one bit per element (uint8, lowest bit
first, the last byte padded with zeros), and `values/NAME`, the weights whose bit is set, in order.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.chunks import CHUNK, slices
from dppa_core.checkpoints.safetensors_reader import SafetensorsFile
from dppa_core.errors import DamagedCheckpoint, many
from dppa_core.forms.compression import DAMAGE

MASK, VALUES = "mask/", "values/"
"""Prefixes of a tensor's name."""


class MaskEntries:
    """The entries of a pack of version 2; checks all that the file alone allows.

    Raises:
        DamagedCheckpoint: entries that contradict each other.
    """

    def __init__(self, file: SafetensorsFile, dtype: str) -> None:
        self._file = file
        stray = [name for name in file.tensors if not name.startswith((MASK, VALUES))]
        names = sorted({name.split("/", 1)[1] for name in file.tensors if name not in stray})
        for name in names:
            stray += [at + name for at in (MASK, VALUES) if at + name not in file.tensors]
        if stray:
            raise DamagedCheckpoint(
                f"{file.path}: {stray[0]} has no counterpart; a pack holds {MASK}NAME and "
                f"{VALUES}NAME for each tensor. {DAMAGE}"
            )
        for name in names:
            self._check_entry(name, dtype)
        self.names = frozenset(names)

    def check(self, name: str, shape: tuple[int, ...], numel: int) -> None:
        """Check that a mask has the size of a tensor of the base."""
        size, needed = self._file.tensors[MASK + name].size, (numel + 7) // 8
        if size != needed:
            raise DamagedCheckpoint(
                f"{self._file.path}: the mask of {name} has {many(size, 'byte')}, its shape "
                f"{shape} in the base needs {needed}. {DAMAGE}"
            )
        rest = numel % 8
        if rest and int(self._file.raw(MASK + name)[-1]) >> rest:
            raise DamagedCheckpoint(
                f"{self._file.path}: the mask of {name} marks weights beyond its {numel}. {DAMAGE}"
            )

    def put(self, name: str, out: Shaped[ndarray, " n"]) -> None:
        """Write the weights that differ over those of the base, in the pack's dtype."""
        mask, values, first = self._file.raw(MASK + name), self._file.raw(VALUES + name), 0
        for start, stop in slices(out.size):
            bits = np.unpackbits(mask[start // 8 : (stop + 7) // 8], bitorder="little")
            marked = bits[: stop - start].view(np.bool_)
            count = int(np.count_nonzero(marked))
            out[start:stop][marked] = values[first : first + count]
            first += count

    def _check_entry(self, name: str, dtype: str) -> None:
        mask, values = self._file.tensors[MASK + name], self._file.tensors[VALUES + name]
        axes = len(mask.shape), len(values.shape)
        if (mask.dtype, values.dtype) != ("U8", dtype) or axes != (1, 1):
            raise DamagedCheckpoint(
                f"{self._file.path}: {name} has a mask of dtype {mask.dtype} and shape "
                f"{mask.shape} and values of {values.dtype} {values.shape}; they must be lists of "
                f"U8 and {dtype}. {DAMAGE}"
            )
        marked, raw = 0, self._file.raw(MASK + name)
        for start in range(0, raw.size, CHUNK):
            marked += int(np.bitwise_count(raw[start : start + CHUNK]).sum(dtype=np.int64))
        if marked != values.shape[0]:
            raise DamagedCheckpoint(
                f"{self._file.path}: the mask of {name} marks {marked} weights, the file holds "
                f"{values.shape[0]}. {DAMAGE}"
            )
