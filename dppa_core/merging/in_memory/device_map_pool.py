"""Models spread by a chosen device map, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Unpack

import torch

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.in_memory.spread import check_spread, load_spread
from dppa_core.models.devices import expected_place
from dppa_core.models.resident import Resident
from dppa_core.progress import RunControl, check
from dppa_core.recipes.yaml_text import MergeRecipe


class SpreadModelPool(ModelPool):
    """Lends one model at a time, its layers on all devices, then in memory, then on disk.

    Args:
        device_map, dtype, max_memory: See `load_spread`.

    Raises:
        InvalidValue: unknown map or dtype.
    """

    def __init__(
        self,
        device_map: str = "auto",
        dtype: str = "float32",
        max_memory: Mapping[int | str, int] | None = None,
    ) -> None:
        super().__init__()
        check_spread(device_map, dtype)
        self._map, self._dtype, self._max_memory = device_map, dtype, max_memory

    def expected_place(self, checkpoint: Checkpoint) -> tuple[str, ...]:
        """See `ModelPool`."""
        return expected_place(0, getattr(torch, self._dtype), spread=True)

    def computes(self, checkpoint: Checkpoint) -> str:
        """See `ModelPool`."""
        return self._dtype

    def at_once(self, checkpoint: Checkpoint) -> int:
        """One: it fills all devices."""
        return 1

    @contextmanager
    def lend(self, target: str | MergeRecipe, **control: Unpack[RunControl]) -> Iterator[Resident]:
        """A model while the block runs; its files on disk are removed afterwards."""
        check(control.get("stop"))
        resident, disk = load_spread(
            target,
            device_map=self._map,
            dtype=self._dtype,
            max_memory=self._max_memory,
            control=control,
        )
        with closing(disk):
            yield resident
