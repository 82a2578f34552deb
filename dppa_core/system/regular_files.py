"""Opens and reads only regular files: reading a pipe or a device may never end."""

from __future__ import annotations

import errno
import os
import re
import stat
from functools import partial
from pathlib import Path
from typing import BinaryIO

from dppa_core.progress import Stop, check

_BLOCK = 1 << 20
_STREAM = re.compile(r"/dev/(stdin|fd/\d+)")
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a link",
}
# Windows lacks both.
_DO_NOT_WAIT = getattr(os, "O_NONBLOCK", 0)
_DO_NOT_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open a regular file for reading; never waits for another kind of file.

    Args:
        follow: The path may be a link.

    Raises:
        OSError: it cannot be opened, or is not a regular file; `strerror` names its kind.
        ValueError: the path holds NUL.
    """
    # Check before, since opening a device can have effects, and after, since it may be replaced.
    _check_regular(os.stat(path, follow_symlinks=follow), path)
    file = open(path, "rb", opener=partial(_open, follow=follow))
    try:
        _check_regular(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


def read_regular(
    path: Path, most: int, *, streams: bool = False, stop: Stop | None = None
) -> bytes:
    """The first bytes of a regular file, at most `most`.

    Args:
        streams: The path may be an open stream of this process: /dev/stdin, or /dev/fd/N
            as shells write it for `<(command)`. Only for paths of a command line.
        stop: Ends the reading between two blocks.

    Raises:
        OSError, ValueError: see `open_regular`.
        Cancelled: stopped.
    """
    blocks, left = [], most
    stream = streams and _STREAM.fullmatch(str(path)) is not None
    with open(path, "rb") if stream else open_regular(path) as file:
        while left > 0:
            check(stop)
            block = file.read(min(left, _BLOCK))
            if block is None:  # a kernel file that waits for events
                raise BlockingIOError(errno.EAGAIN, "has nothing to read now", str(path))
            if not block:
                break
            blocks.append(block)
            left -= len(block)
    return b"".join(blocks)


def _open(path: str, flags: int, *, follow: bool) -> int:
    return os.open(path, flags | _DO_NOT_WAIT | (0 if follow else _DO_NOT_FOLLOW))


def _check_regular(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"not a regular file, but {kind}", str(path))
