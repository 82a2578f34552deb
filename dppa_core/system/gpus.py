"""The GPUs that this process may use. PyTorch is imported when they are looked up."""

from __future__ import annotations

import os


def on_zero() -> bool:
    """Whether this is a Space that assigns a GPU for each call (ZeroGPU)."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def cuda_devices(*, assigned: bool = False) -> tuple[str, ...]:
    """PyTorch's names of the CUDA devices: cuda:0, cuda:1, …

    Args:
        assigned: Whether the caller is a process to which a Space has assigned a GPU. Any other
            process of such a Space has none, whatever PyTorch says.
    """
    if on_zero() and not assigned:
        return ()
    import torch  # noqa: PLC0415  (seconds)

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return tuple(f"cuda:{index}" for index in range(count))
