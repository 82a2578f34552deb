"""A checkpoint of float32 arrays in memory: tensors small enough to write down.

Knows no file. Whatever merges checkpoints on disk merges these, see `OpenModels.put`.
"""

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
        dtype: As which they are stored: "F32", "F16" or "BF16"; rounded where it cannot hold them.
        config: What its config.json would say.
    """

    folder = Path()
    folders: tuple[Path, ...] = ()

    def __init__(
        self,
        arrays: Mapping[str, ndarray],
        dtype: str = "F32",
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.config: Mapping[str, Any] = config or {}
        self._dtype = dtype
        self._shapes = {name: array.shape for name, array in arrays.items()}
        self._raw = {
            name: from_float32(np.array(array, np.float32).ravel(), dtype)
            for name, array in arrays.items()
        }

    def names(self) -> tuple[str, ...]:
        """Names of all tensors, sorted."""
        return tuple(sorted(self._raw))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor."""
        self._check(name)
        return self._shapes[name]

    def dtype(self, name: str) -> str:
        """The one of all of them."""
        self._check(name)
        return self._dtype

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """Its elements, flat; they must not be written to."""
        self._check(name)
        return self._raw[name]

    def release(self) -> None:
        """Nothing to give back: no file is mapped."""

    def content_hash(self) -> str:
        """None: what is made of it is not kept."""
        return ""

    def identities(self) -> Mapping[Path, str]:
        """It lies in no file."""
        return {}

    def _check(self, name: str) -> None:
        if name not in self._raw:
            raise MissingCheckpoint(f"No tensor {name!r} among {', '.join(self.names())}.")
