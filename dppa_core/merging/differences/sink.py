"""Takes the weights of a merge beside those of its base."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import numpy as np

from dppa_core.checkpoints.adapters.packs import as_dtype, has_delta
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.merging.passes.deltas import Raw, TensorStack
from dppa_core.pruning.floats import FLOATS


class DifferenceSink(ABC):
    """A sink of the tensors that a pack or a patch may change: weights, not buffers.

    Args:
        base: The base of the merge.
        dtype: Of the merged weights.
        by_parts: True if tensors are merged part by part, of any size; then the sink takes whole
            ones, because parts may not fill blocks.
    """

    whole: Literal["never"] = "never"

    def __init__(self, base: Checkpoint, dtype: str, *, by_parts: bool) -> None:
        self.base, self.dtype, self._by_parts = base, dtype, by_parts
        self.names = tuple(name for name in base.names() if has_delta(base, name))
        self.sizes = {name: math.prod(base.shape(name)) for name in self.names}
        """Tensor -> its elements."""
        self.kept: dict[str, int] = {}
        """Tensor -> entries of the first model's delta that the recipe keeps."""

    @property
    def numel(self) -> int:
        """Elements of all tensors."""
        return sum(self.sizes.values())

    @abstractmethod
    def compare(self, name: str, start: int, base: Raw, merged: Raw) -> None:
        """Take elements from `start` on, of the base and of the merge, both in its dtype."""

    def keep(self, name: str, kept: tuple[int, ...], stack: TensorStack | None = None) -> None:
        """See `Sink`."""
        self.kept[name] = kept[0]

    def room(self, name: str, start: int, stop: int) -> Raw | None:
        """See `Sink`."""
        return np.empty(stop - start, FLOATS[self.dtype]) if self._by_parts else None

    def take(self, name: str, start: int, merged: Raw, base: Raw | None) -> None:
        """See `Sink`; a copied tensor, as a head of the base, differs nowhere."""
        stored = self.base.dtype(name)
        if base is None:
            base, merged = merged, as_dtype(merged, stored, self.dtype)
        self.compare(name, start, as_dtype(base, stored, self.dtype), merged)
