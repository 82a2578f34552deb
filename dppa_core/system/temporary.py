"""Temporary folders of one process: gone with it, and removed later where it was killed.

Knows names and locks, not what lies in the folders.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args

from dppa_core.system.locks import lock_folder

Kind = Literal["breaks", "export", "handed", "model", "offload"]
"""What a folder is for: a part of its name."""
_NAME = re.compile(rf"dppa-({'|'.join(get_args(Kind))})-[a-z0-9_]{{8}}")  # as mkdtemp makes them


class TemporaryFolder:
    """A new folder, locked by this process and readable by this user alone.

    Folders of processes that were killed are removed first.

    Args:
        kind: What it is for.
        parent: Where it lies; the system's folder for temporary files where None.
    """

    def __init__(self, kind: Kind, parent: Path | None = None) -> None:
        parent = parent or Path(tempfile.gettempdir())
        remove_dead(parent)
        self.path, handle = _claim(parent, f"dppa-{kind}-")
        self._leave = weakref.finalize(self, _close, self.path, handle)  # at exit, too

    def close(self) -> None:
        """Remove it with all that it holds; twice does no harm."""
        self._leave()


def remove_dead(parent: Path | None = None) -> None:
    """Remove the folders whose process was killed: those of any kind that nobody locks.

    Args:
        parent: Where they lie; the system's folder for temporary files where None.
    """
    parent = parent or Path(tempfile.gettempdir())
    with suppress(OSError):
        for folder in [path for path in parent.iterdir() if _NAME.fullmatch(path.name)]:
            _remove_unlocked(folder)


def _remove_unlocked(folder: Path) -> None:
    with suppress(OSError):  # locked, another user's, no folder, or a file system without locks
        handle = lock_folder(folder)
        try:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)


def _claim(parent: Path, prefix: str) -> tuple[Path, int | None]:
    """A new folder, and the lock on it; no lock where the file system knows none."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            return folder, lock_folder(folder)
        except (BlockingIOError, FileNotFoundError):
            continue  # taken for dead by another process in the moment before it was locked
        except OSError:
            return folder, None


def _close(folder: Path, handle: int | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if handle is not None:
        os.close(handle)
