"""One mapped file of weights, whatever its format."""

from __future__ import annotations

import mmap
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.folders.small_files import unreadable
from dppa_core.errors import DamagedCheckpoint, MissingCheckpoint
from dppa_core.pruning.floats import STORED
from dppa_core.system.shortage import shortage

MAX_NAME_CHARACTERS = 1000
"""Characters of a tensor's name."""
TRUNCATED = "An interrupted download or copy is the usual cause: fetch the file again."


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """The place of one tensor in its file."""

    dtype: str
    """Code of safetensors headers: "BF16", "F16", "F32", "I64", …"""
    shape: tuple[int, ...]
    start: int
    """Offset in bytes from the beginning of the file."""
    size: int
    """Bytes."""


class WeightFile(ABC):
    """One mapped file; the reader of a format derives its own from this. Safe for many threads."""

    __slots__ = ()
    path: Path
    tensors: Mapping[str, TensorInfo]
    pages: mmap.mmap
    identity: str
    """A text that changes when the file is written or replaced: its inode, size and times."""

    @abstractmethod
    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """The tensor's elements as stored, flat and read-only.

        Raises:
            DamagedCheckpoint: a dtype that holds no plain numbers (quantised weights), or a file
                that was written to since it was opened.
        """

    def release(self) -> None:
        """Stop counting pages read so far as memory of this process; views stay valid."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.pages.madvise(mmap.MADV_DONTNEED)


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Turn errors of opening and mapping a weight file into our own."""
    try:
        yield
    except FileNotFoundError:
        raise MissingCheckpoint(
            f"{path}: no such file. A shard that was never downloaded is the usual cause."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a name with NUL, a file that shrinks
        raise shortage(error) or unreadable(path, error) from error


def check_plain(path: Path, name: str, info: TensorInfo) -> None:
    """Refuse a tensor whose dtype holds no plain numbers."""
    if info.dtype not in STORED:
        raise DamagedCheckpoint(
            f"{path}: {name} has dtype {info.dtype}; readable are {', '.join(STORED)}. "
            "A quantised model is the usual cause: take the unquantised one."
        )


def file_identity(path: Path) -> str:
    """The current identity of the file at a path; empty if it cannot be read."""
    try:
        return status_identity(path.stat())
    except (OSError, ValueError):
        return ""


def status_identity(status: os.stat_result) -> str:
    """The identity of a file with this status."""
    inode, times = (status.st_dev, status.st_ino), (status.st_mtime_ns, status.st_ctime_ns)
    return repr((inode, status.st_size, times))
