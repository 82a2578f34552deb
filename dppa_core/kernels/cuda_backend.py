"""The backend `cuda`: the torch loops on any device.

Chunks are copied to the device and results back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

import torch

from dppa_core.errors import InvalidValue
from dppa_core.kernels import torch_backend as reference
from dppa_core.kernels.protocol import Kernels


class OnDevice:
    """Every loop of `reference`, computed on one device. Safe for many threads."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    stacked = reference.stacked

    def __getattr__(self, name: str) -> Callable[..., Any]:
        loop: Callable[..., Any] = getattr(reference, name)

        @wraps(loop)
        def there(*arguments: Any) -> Any:
            with self.device:  # new tensors are made on it, in this thread
                return loop(*arguments)

        return there


def on_device(device: torch.device) -> Kernels:
    """The reference on a device."""
    return cast(Kernels, OnDevice(device))


def cuda() -> Kernels:
    """The reference on the first CUDA device.

    Raises:
        InvalidValue: PyTorch sees none.
    """
    if not torch.cuda.is_available():
        raise InvalidValue(
            "backend cuda: PyTorch sees no CUDA device here. A PyTorch built for CPUs alone, or a "
            "missing driver, is the usual cause; numba does the same on the CPU."
        )
    return on_device(torch.device("cuda"))
