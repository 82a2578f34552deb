"""Recognises a lack of memory or disk in errors of any library."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from dppa_core.errors import DppaError, OutOfBudget

_DISK = {
    errno.ENOSPC: "The disk is full. Free some space; what was there before is unchanged.",
    errno.EDQUOT: "The disk quota is used up. Free some space; what was there before is unchanged.",
    errno.EFBIG: "A file may not grow that large here. A quota, or a limit of the system "
    "(ulimit -f), is the usual cause; what was there before is unchanged.",
    errno.EROFS: "The file system is read-only, and something had to be written to it.",
}
_MEMORY = (
    "There is not enough memory for this now. Smaller models, or fewer at a time, need less; "
    "what was there before is unchanged."
)
_FILES = "Too many files are open (ulimit -n); what was there before is unchanged."
_SAID = {
    "can't allocate memory": _MEMORY,  # torch, on the CPU
    "out of memory": _MEMORY,  # torch, on a GPU
    "can't start new thread": _MEMORY,  # no memory for its stack
    "database or disk is full": _DISK[errno.ENOSPC],  # SQLite
    "attempt to write a readonly database": _DISK[errno.EROFS],
    "disk I/O error": "The disk refuses to be written to or read. A quota, a disk that is full or "
    "one that was taken away is the usual cause; what was there before is unchanged.",
}


def shortage(error: BaseException) -> OutOfBudget | None:
    """The shortage that an error or one of its causes reports.

    Returns:
        The error to raise instead; None for other errors.
    """
    for one in _causes(error):
        if isinstance(one, MemoryError):
            return OutOfBudget(_MEMORY)
        if isinstance(one, OSError) and one.errno is not None:
            found = _of_number(one.errno)
        else:
            text = str(one)
            found = next((told for said, told in _SAID.items() if said in text), None)
        if found is not None:
            return OutOfBudget(found)
    return None


class ShortageAsError:
    """A context in which a shortage of memory or disk is raised as `OutOfBudget`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, DppaError):
            lacking = shortage(error)
            if lacking is not None:
                raise lacking from error


def _of_number(number: int) -> str | None:
    if number == errno.ENOMEM:
        return _MEMORY
    return _FILES if number in (errno.EMFILE, errno.ENFILE) else _DISK.get(number)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes, nearest first; safe against loops."""
    seen: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in seen:
        seen.append(one)
        yield one
        one = one.__cause__
