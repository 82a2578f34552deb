"""Locks of folders, and their exchange in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

if sys.platform != "win32":  # the page runs there, without writing folders
    import fcntl

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NOT_OFFERED = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}


def lock_folder(folder: Path, *, shared: bool = False) -> int:
    """Lock a folder until the returned handle is closed or the process ends.

    Args:
        shared: Others may share it, too.

    Raises:
        BlockingIOError: another process holds it.
        FileNotFoundError: it no longer exists.
        OSError: it is not a folder, or the file system has no locks, as on Windows.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, "folders cannot be locked here", str(folder))
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(handle), folder.lstat()):
            raise FileNotFoundError(errno.ENOENT, "replaced before it was locked", str(folder))
    except OSError:
        os.close(handle)
        raise
    return handle


def locked_new(make: Callable[[], Path]) -> tuple[Path, int | None]:
    """A new folder and its lock; None if the file system has no locks."""
    while True:
        folder = make()
        try:
            return folder, lock_folder(folder)
        except (BlockingIOError, FileNotFoundError):
            continue  # another process removed it before it was locked
        except OSError:
            return folder, None


def exchange(first: Path, second: Path) -> bool:
    """Swap two folders in a single step; False if kernel or file system cannot.

    Raises:
        OSError: one of them is gone, or may not be renamed.
    """
    call = _renameat2()
    if call is None:
        return False
    paths = os.fsencode(first), os.fsencode(second)
    if call(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_OFFERED:
        return False
    raise OSError(number, os.strerror(number), str(first), None, str(second))


def rename_aside(fresh: Path, target: Path, aside: str) -> None:
    """Swap in two steps through a third name beside the target.

    The old folder stays locked; if the process dies between the steps, it is found as `aside`. An
    error restores it.
    """
    old = target.with_name(aside)
    lock = lock_folder(target)
    try:
        target.rename(old)
        try:
            fresh.rename(target)
        finally:
            if not os.path.lexists(target):
                old.rename(target)
        old.rename(fresh)
    finally:
        os.close(lock)


@cache
def _renameat2() -> Any:
    if sys.platform != "linux":
        return None
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        call.argtypes = (
            ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint,
        )  # fmt: skip
    return call
