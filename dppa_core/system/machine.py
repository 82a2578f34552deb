"""Free memory and disk of this machine, in bytes, and the GPUs that this process may use."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

_MEMORY = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Machine:
    """The resources a merge may use."""

    memory: int | None
    """Bytes a new program can use without swapping; None if the system does not say."""
    disk: int
    """Free bytes on the disk for downloads."""


def this_machine(cache: Path) -> Machine:
    """The memory and disk that are free now; the disk of the given folder."""
    return Machine(available_memory(), free_disk(cache))


def free_disk(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(place).free


def available_memory() -> int | None:
    """Bytes a new program can use: the machine's, or this container's if less."""
    limits = [value for value in (_of_machine(), _of_container()) if value is not None]
    return min(limits, default=None)


def _of_machine() -> int | None:
    try:
        for line in _MEMORY.read_text("ascii", "replace").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:  # elsewhere: all memory
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _of_container() -> int | None:
    """Bytes left in this process's cgroup, counting its file pages as free."""
    try:
        most = (_GROUP / "memory.max").read_text("ascii").strip()
        used = int((_GROUP / "memory.current").read_text("ascii"))
        lines = (_GROUP / "memory.stat").read_text("ascii").splitlines()
        files = next((int(x.split()[1]) for x in lines if x.startswith("file ")), 0)
        return None if most == "max" else max(0, int(most) - used + files)
    except (OSError, ValueError, IndexError):
        return None


def on_zero() -> bool:
    """Return True on a Space that assigns a GPU for each call (ZeroGPU)."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def cuda_devices(*, assigned: bool = False) -> tuple[str, ...]:
    """PyTorch's names of the CUDA devices: cuda:0, cuda:1, …

    Args:
        assigned: The caller is a process to which a Space has assigned a GPU. Any other
            process of such a Space has none, whatever PyTorch says.
    """
    if on_zero() and not assigned:
        return ()
    import torch  # noqa: PLC0415  (seconds)

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return tuple(f"cuda:{index}" for index in range(count))
