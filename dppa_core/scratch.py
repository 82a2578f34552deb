"""Temporary folders of one process: gone with it, and removed by the next where it was killed.

Knows a prefix and locks, not what lies in the folders.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

from dppa_core.renames import lock_folder


class Scratch:
    """A new folder, locked by this process.

    Folders of the same prefix whose process was killed are removed first: nobody holds their lock.

    Args:
        prefix: What its name begins with, and that of others of its kind.
        parent: Where it lies; the system's folder for temporary files where None.
    """

    def __init__(self, prefix: str, parent: Path | None = None) -> None:
        parent = parent or Path(tempfile.gettempdir())
        _remove_dead(parent, prefix)
        self.path, handle = _claim(parent, prefix)
        self._leave = weakref.finalize(self, _close, self.path, handle)  # at exit, too

    def close(self) -> None:
        """Remove it with all that it holds; twice does no harm."""
        self._leave()


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


def _remove_dead(parent: Path, prefix: str) -> None:
    for folder in parent.glob(prefix + "*"):
        with suppress(OSError):  # alive, another user's, or no folder
            handle = lock_folder(folder)
            try:
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)
