"""A checkpoint of small arrays in memory, merged as one on disk; see `OpenModels.put`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.errors import MissingCheckpoint
from dppa_core.pruning.floats import from_float32


class MemoryCheckpoint:
    """Named arrays, read as a checkpoint.

    Args:
        arrays: Name -> weights of any shape, copied.
        dtype: Stored dtype, "F32", "F16" or "BF16"; values are rounded to it.
    """

    folder = Path()
    folders: tuple[Path, ...] = ()
    config: Mapping[str, Any] = {}

    def __init__(self, arrays: Mapping[str, ndarray], dtype: str = "F32") -> None:
        self._dtype = dtype
        self._tensors = {
            name: (array.shape, from_float32(np.array(array, np.float32).ravel(), dtype))
            for name, array in arrays.items()
        }

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._tensors))

    def shape(self, name: str) -> tuple[int, ...]:
        return self._tensor(name)[0]

    def dtype(self, name: str) -> str:
        """The dtype of all tensors."""
        self._tensor(name)
        return self._dtype

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """Its elements, flat; callers must not change them."""
        return self._tensor(name)[1]

    def release(self) -> None:
        """Does nothing: no file is mapped."""

    def content_hash(self) -> str:
        """Empty: results made of it are not cached."""
        return ""

    def identities(self) -> Mapping[Path, str]:
        """Empty: it has no files."""
        return {}

    def _tensor(self, name: str) -> tuple[tuple[int, ...], Shaped[ndarray, " n"]]:
        if name not in self._tensors:
            raise MissingCheckpoint(f"No tensor {name!r} among {', '.join(self.names())}.")
        return self._tensors[name]
