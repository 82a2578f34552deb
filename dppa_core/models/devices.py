"""Where models compute: small ones on the processor, large ones on a GPU that has room.

A GPU computes with a copy, because the next merge overwrites a merge in the processor's memory.
Without a GPU every model stays as and where it is.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch

from dppa_core.models.resident import MIN_GPU_BYTES, Resident, is_spread
from dppa_core.system.machine import available_memory, cuda_devices

_RESERVED_BYTES = 2 << 30
"""Bytes of a GPU left free for activations and caches when a model is copied to it."""
IDLE_MERGES = 2
"""Copies of merges that stay on a GPU without users; a search makes a merge for each trial."""
_GRADIENT_SIZES = 2
"""Room that a model takes with the gradients and activations of a backward pass, in its sizes."""
_PLACES: ContextVar[set[tuple[str, ...]] | None] = ContextVar("places", default=None)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One CUDA device."""

    device: torch.device
    name: str
    """Of the card, as "NVIDIA H100 80GB HBM3"."""
    bfloat16: bool
    """True if the card multiplies bfloat16 itself; PyTorch imitates it on others, slowly."""

    def number_format(self, dtype: torch.dtype, *, exact: bool) -> torch.dtype:
        """Number format in which a copy of a model of `dtype` computes.

        Args:
            exact: Keep float32, for work that subtracts losses or takes gradients.
        """
        if dtype not in (torch.float32, torch.bfloat16) or (exact and dtype == torch.float32):
            return dtype
        return torch.bfloat16 if self.bfloat16 else torch.float32


def gpus(*, assigned: bool = False) -> tuple[Gpu, ...]:
    """All GPUs of this process; for `assigned` see `cuda_devices`."""
    cards = []
    for name in cuda_devices(assigned=assigned):
        with torch.cuda.device(name):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        cards.append(Gpu(torch.device(name), torch.cuda.get_device_name(name), native))
    return tuple(cards)


def free_bytes(device: torch.device) -> int:
    """Bytes of a CUDA device that are left for weights."""
    return max(0, int(torch.cuda.mem_get_info(device)[0]) - _RESERVED_BYTES)


def unused_bytes(device: torch.device) -> int:
    """Bytes of a CUDA device for activations: free ones, and those that PyTorch holds unused."""
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + int(held)


def copied(model: Any, device: torch.device, dtype: torch.dtype | None = None) -> Any:
    """The same model on a device; tied weights stay tied.

    Args:
        dtype: Of its floating-point weights; unchanged if None. Buffers keep theirs: angles of
            rotary embeddings are float32 in every model.
    """
    moved: dict[int, Any] = {}
    for weight in model.parameters():
        to = dtype if weight.is_floating_point() else None
        fresh = weight.detach().to(device, to or weight.dtype, copy=True)
        moved[id(weight)] = torch.nn.Parameter(fresh, weight.requires_grad)
    for buffer in model.buffers():
        moved[id(buffer)] = buffer.detach().to(device, copy=True)
    return copy.deepcopy(model, moved)


@dataclass(slots=True, eq=False)
class _Copy:
    key: object
    resident: Resident
    gpu: Gpu
    users: int = 0


class GpuCopies:
    """Copies of models on GPUs.

    Unused ones leave where room is short, the longest unused first; unused merges beyond
    `IDLE_MERGES` a card at once. Safe for many threads: one copies at a time.

    Args:
        gpus: Where copies may lie.
        free: Bytes left on a device.
    """

    def __init__(
        self, gpus: Sequence[Gpu], free: Callable[[torch.device], int] = free_bytes
    ) -> None:
        self.gpus, self._free = tuple(gpus), free
        self._copies: OrderedDict[object, _Copy] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def lend(self, resident: Resident, *, exact: bool = False) -> Iterator[Resident | None]:
        """The copy of a model while the block runs; None if no GPU has room for it.

        A copy that exists is shared. A new one goes to the GPU whose copies have the fewest users.
        """
        held = self._borrow(resident, exact)
        try:
            yield None if held is None else held.resident
        finally:
            if held is not None:
                with self._lock:
                    self._give_back(held)

    def moved(self, model: Any, nbytes: int) -> Any:
        """A copy for gradients that only its holder uses; the model itself if none has room."""
        with self._lock:
            for gpu in self._least_used():
                dtype = gpu.number_format(model.dtype, exact=True)
                if self._make_room(gpu, _GRADIENT_SIZES * _scaled(nbytes, model.dtype, dtype)):
                    return copied(model, gpu.device, dtype)
        return model

    def _borrow(self, resident: Resident, exact: bool) -> _Copy | None:
        # A recipe names the same merge only while the files it is made of are the same.
        exact = exact and resident.model.dtype == torch.float32  # others compute alike
        key = (resident.key, tuple(sorted(resident.made_of.items())), exact)
        with self._lock:
            held = self._copies.get(key)
            if held is None:
                held = self._copy(key, resident, exact)
                if held is None:
                    return None
                self._copies[key] = held
            held.users += 1
            return held

    def _give_back(self, held: _Copy) -> None:
        held.users -= 1
        self._copies.move_to_end(held.key)
        idle = [key for key in self._idle(held.gpu) if self._copies[key].resident.is_merge]
        for old in idle[:-IDLE_MERGES]:
            del self._copies[old]

    def _idle(self, gpu: Gpu) -> list[object]:
        """Keys of unused copies, the longest unused first."""
        return [key for key, held in self._copies.items() if held.gpu == gpu and not held.users]

    def _copy(self, key: object, resident: Resident, exact: bool) -> _Copy | None:
        model, before = resident.model, resident.model.dtype
        for gpu in self._least_used():
            dtype = gpu.number_format(before, exact=exact)
            nbytes = _scaled(resident.nbytes, before, dtype)
            if self._make_room(gpu, nbytes):
                model_copy = copied(model, gpu.device, dtype)
                return _Copy(key, replace(resident, model=model_copy, nbytes=nbytes), gpu)
        return None

    def _least_used(self) -> list[Gpu]:
        def users(gpu: Gpu) -> int:
            return sum(held.users for held in self._copies.values() if held.gpu == gpu)

        return sorted(self.gpus, key=users)

    def _make_room(self, gpu: Gpu, nbytes: int) -> bool:
        idle = self._idle(gpu)
        while self._free(gpu.device) < nbytes:
            torch.cuda.empty_cache()  # what PyTorch keeps counts as used
            if self._free(gpu.device) >= nbytes:
                break
            if not idle:
                return False
            del self._copies[idle.pop(0)]
        return True


def free_memory(model: Any) -> int | None:
    """Bytes that are free where a model computes; None if the system does not say."""
    device = getattr(model, "device", None)
    return unused_bytes(device) if device and device.type == "cuda" else available_memory()


def free_room(resident: Resident) -> bool:
    """Return True if another such model fits where this one lies, or the system does not say."""
    free = free_memory(resident.model)
    return free is None or free > resident.nbytes + _RESERVED_BYTES * _on_gpu(resident.model)


def _scaled(nbytes: int, before: torch.dtype, after: torch.dtype) -> int:
    return nbytes * after.itemsize // before.itemsize


@cache
def own_copies() -> GpuCopies:
    """The copies of this process. The first call starts CUDA if there is a GPU."""
    return GpuCopies(gpus())


@contextmanager
def lend(resident: Resident, *, exact: bool = False) -> Iterator[Resident]:
    """The model where it computes, while the block runs: itself, or its copy on a GPU.

    Models below `MIN_GPU_BYTES`, and those spread by accelerate, stay where they are.

    Args:
        exact: See `Gpu.number_format`.
    """
    if resident.nbytes < MIN_GPU_BYTES or is_spread(resident.model):
        yield resident
        return
    with own_copies().lend(resident, exact=exact) as lent:
        yield lent or resident


def moved(model: Any, nbytes: int) -> Any:
    """A model that only its holder uses, for gradients: on a GPU if it is large and has room."""
    model = model if nbytes < MIN_GPU_BYTES else own_copies().moved(model, nbytes)
    places = _PLACES.get()
    if places is not None:
        places.add(place_of(model))
    return model


@contextmanager
def places_of_moved() -> Iterator[set[tuple[str, ...]]]:
    """`place_of` every model that this thread gets from `moved` while the block runs."""
    places = set[tuple[str, ...]]()
    before = _PLACES.set(places)
    try:
        yield places
    finally:
        _PLACES.reset(before)


def cards_for(nbytes: int) -> int:
    """GPUs that compute a model of so many bytes; 0 if the processor does."""
    return 0 if nbytes < MIN_GPU_BYTES else len(own_copies().gpus)


def expected_place(
    nbytes: int, dtype: torch.dtype, *, spread: bool = False, exact: bool = False
) -> tuple[str, ...]:
    """`place_of` a model before it is loaded; a lack of room on the GPU is not foreseen.

    Args:
        nbytes, dtype: Of the model in memory.
        spread: True if accelerate spreads it.
        exact: See `Gpu.number_format`; True for a model that is `moved`.
    """
    cards = own_copies().gpus if spread or nbytes >= MIN_GPU_BYTES else ()
    if not cards:
        return ()
    if spread:
        return (_format_name(dtype), "spread", *(gpu.name for gpu in cards))
    return (_format_name(cards[0].number_format(dtype, exact=exact)), cards[0].name)


def place_of(model: Any) -> tuple[str, ...]:
    """Number format and GPU of a model, for the keys of cached results: GPUs round differently.

    Returns:
        Nothing for a model on the processor alone.
    """
    cards = own_copies().gpus if _on_gpu(model) else ()
    if is_spread(model) and cards:
        return (_format_name(model.dtype), "spread", *(gpu.name for gpu in cards))
    names = (gpu.name for gpu in cards if gpu.device == model.device)
    return (_format_name(model.dtype), *names) if cards else ()


def _on_gpu(model: Any) -> bool:
    places = model.hf_device_map.values() if is_spread(model) else [model.device.type]
    return any(str(place) not in ("cpu", "disk", "meta") for place in places)


def _format_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def input_device(model: Any) -> torch.device:
    """Where a model takes its inputs; the processor if accelerate moves them."""
    device: torch.device = model.device
    return torch.device("cpu") if device.type == "meta" else device
