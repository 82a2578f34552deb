"""The torch loops on a device, chunks copied there and results back; or on one core.

On a CPU torch would cut each step of a chunk among threads of its own, beside those of a merge. On
busy cores they wait for each other: 60 s instead of 2 s were measured.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial, wraps
from inspect import signature
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch

from dppa_core.errors import InvalidValue
from dppa_core.kernels import torch_backend as reference
from dppa_core.kernels.protocol import Kernels
from dppa_core.system.machine import cuda_devices

PIECE_ELEMENTS = 1 << 15
"""Most elements that torch gives to a single thread."""


class OnDevice:
    """Every loop of `reference`, computed on one device. Safe for many threads."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    stacked = reference.stacked

    def __getattr__(self, name: str) -> Callable[..., Any]:
        loop: Callable[..., Any] = getattr(reference, name)

        @wraps(loop)
        def on_device_loop(*arguments: Any) -> Any:
            with self.device:  # new tensors are made on it, in this thread
                return loop(*arguments)

        return on_device_loop


def on_device(device: torch.device) -> Kernels:
    """The reference on a device."""
    return cast(Kernels, OnDevice(device))


def cuda() -> Kernels:
    """The reference on the first CUDA device.

    Raises:
        InvalidValue: PyTorch sees none.
    """
    devices = cuda_devices()
    if not devices:
        raise InvalidValue(
            "backend cuda: PyTorch sees no CUDA device here. A PyTorch built for CPUs alone, or a "
            "missing driver, is the usual cause; numba does the same on the CPU."
        )
    return on_device(torch.device(devices[0]))


@cache
def on_one_core() -> Kernels:
    """The reference, in pieces that torch computes in the calling thread."""
    names = [name for name in vars(Kernels).keys() - {"stacked", "drain"} if name[0] != "_"]
    loops = {name: partial(_in_pieces, getattr(reference, name)) for name in names}
    return cast(Kernels, SimpleNamespace(stacked=reference.stacked, drain=reference.drain, **loops))


def _in_pieces(loop: Callable[..., Any], *arguments: Any) -> Any:
    """Call a loop for some elements at a time: the arrays as long as the first, and `start`."""
    size, places = arguments[0].size, tuple(signature(loop).parameters)
    results = []
    for first in range(0, max(size, 1), PIECE_ELEMENTS):

        def part(argument: Any, name: str, first: int = first) -> Any:
            if isinstance(argument, np.ndarray):
                whole = argument.ndim > 1 or argument.size < size or size <= PIECE_ELEMENTS
                return argument if whole else argument[first : first + PIECE_ELEMENTS]
            if name == "start":
                return argument + first
            return [part(item, "", first) for item in argument] if name == "tuned" else argument

        results.append(loop(*map(part, arguments, places)))
    return (np.max if loop is reference.largest else all)(results)
