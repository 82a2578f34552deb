"""Temporary folders of a process, removed at its end, or later if it was killed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args

from dppa_core.system.locks import lock_folder, locked_new

Kind = Literal["breaks", "export", "handed", "judge", "model", "offload"]
"""The purpose of a folder, a part of its name."""
_NAME = re.compile(rf"dppa-({'|'.join(get_args(Kind))})-[a-z0-9_]{{8}}")  # names by mkdtemp


class TemporaryFolder:
    """A new folder, locked by this process and readable only by this user.

    It lies in the system's temporary folder if no parent is given. Folders of processes that were
    killed are removed first.
    """

    def __init__(self, kind: Kind, parent: Path | None = None) -> None:
        parent = parent or Path(tempfile.gettempdir())
        remove_dead(parent)
        name = f"dppa-{kind}-"
        self.path, handle = locked_new(lambda: Path(tempfile.mkdtemp(prefix=name, dir=parent)))
        self._leave = weakref.finalize(self, _close, self.path, handle)  # at exit, too

    def close(self) -> None:
        """Remove it with its contents; may be called twice."""
        self._leave()


def remove_dead(parent: Path | None = None) -> None:
    """Remove the folders of killed processes from `parent`, or from the system's temporary one."""
    parent = parent or Path(tempfile.gettempdir())
    with suppress(OSError):
        for folder in [path for path in parent.iterdir() if _NAME.fullmatch(path.name)]:
            with suppress(OSError):  # locked, another user's, not a folder, or no locks
                _close(folder, lock_folder(folder))


def without_temporary(text: str) -> str:
    """A message in which paths begin inside the temporary folders of this module."""
    place = rf"(?:{re.escape(tempfile.gettempdir())}|[^\s'\"]*)/{_NAME.pattern}/"
    return re.sub(rf"{place}(?:tmp[a-z0-9_]{{8}}/)?", "", text)


def _close(folder: Path, handle: int | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if handle is not None:
        os.close(handle)
