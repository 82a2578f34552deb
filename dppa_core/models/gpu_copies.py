"""Copies of models on another device; the originals stay where they are.

The next merge overwrites a merge in the processor's memory, so a GPU has to compute with a copy.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from dppa_core.models.resident import Resident

_RESERVE = 1 << 30
"""Bytes of a device reserved for what replies need beside the weights."""


def copied(resident: Resident, device: torch.device) -> Resident:
    """The same model with its weights and buffers on a device; tied weights stay tied."""
    moved: dict[int, Any] = {}
    for weight in resident.model.parameters():
        moved[id(weight)] = torch.nn.Parameter(weight.detach().to(device, copy=True), False)
    for buffer in resident.model.buffers():
        moved[id(buffer)] = buffer.detach().to(device, copy=True)
    return replace(resident, model=copy.deepcopy(resident.model, moved))


def free_bytes(device: torch.device) -> int:
    """Bytes of a CUDA device that are left for weights."""
    return max(0, int(torch.cuda.mem_get_info(device)[0]) - _RESERVE)


@dataclass(slots=True, eq=False)
class _Copy:
    resident: Resident
    users: int = 0


class DeviceCopies:
    """Copies by model; where room is short, unused ones leave, the longest unused first.

    Safe for many threads: one copies at a time.

    Args:
        device: Target of the copies.
        free: Bytes left on it.
    """

    def __init__(
        self, device: torch.device, free: Callable[[torch.device], int] = free_bytes
    ) -> None:
        self._device, self._free = device, free
        self._copies: OrderedDict[object, _Copy] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def lend(self, resident: Resident) -> Iterator[Resident | None]:
        """The copy of a model while the block runs; None if the device has no room for it."""
        made = self._borrow(resident)
        try:
            yield None if made is None else made.resident
        finally:
            if made is not None:
                with self._lock:
                    made.users -= 1

    def _borrow(self, resident: Resident) -> _Copy | None:
        # A recipe names the same merge only while the files it is made of are the same.
        key = (resident.key, tuple(sorted(resident.made_of.items())))
        with self._lock:
            found = self._copies.get(key)
            if found is None:
                if not self._make_room(resident.nbytes):
                    return None
                found = self._copies[key] = _Copy(copied(resident, self._device))
            self._copies.move_to_end(key)
            found.users += 1
            return found

    def _make_room(self, nbytes: int) -> bool:
        idle = [key for key, one in self._copies.items() if not one.users]
        while self._free(self._device) < nbytes:
            if not idle:
                return False
            del self._copies[idle.pop(0)]
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
        return True
