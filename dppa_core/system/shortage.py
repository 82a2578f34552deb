"""Recognises a lack of memory or disk in errors of any library."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from dppa_core.errors import DppaError, OutOfBudget

_MEMORY = (
    "There is not enough memory for this now. Smaller models, or fewer at a time, need less; "
    "what was there before is unchanged."
)
_FILES = "Too many files are open (ulimit -n); what was there before is unchanged."
_MESSAGE_BY_NUMBER = {
    errno.ENOMEM: _MEMORY,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOSPC: "The disk is full. Free some space; what was there before is unchanged.",
    errno.EDQUOT: "The disk quota is used up. Free some space; what was there before is unchanged.",
    errno.EFBIG: "A file may not grow that large here. A quota, or a limit of the system "
    "(ulimit -f), is the usual cause; what was there before is unchanged.",
    errno.EROFS: "The file system is read-only, and something had to be written to it.",
}
_MESSAGE_BY_TEXT = {
    "can't allocate memory": _MEMORY,  # torch, on the CPU
    "out of memory": _MEMORY,  # torch, on a GPU
    "can't start new thread": _MEMORY,  # no memory for its stack
    "database or disk is full": _MESSAGE_BY_NUMBER[errno.ENOSPC],  # SQLite
    "attempt to write a readonly database": _MESSAGE_BY_NUMBER[errno.EROFS],
    "disk I/O error": "The disk refuses to be written to or read. A quota, a disk that is full or "
    "one that was taken away is the usual cause; what was there before is unchanged.",
}


def shortage(error: BaseException) -> OutOfBudget | None:
    """The error to raise for a shortage that an error or one of its causes reports, or None."""
    for cause in _causes(error):
        if isinstance(cause, MemoryError):
            return OutOfBudget(_MEMORY)
        if isinstance(cause, OSError) and cause.errno is not None:
            message = _MESSAGE_BY_NUMBER.get(cause.errno)
        else:
            texts = (part for part in _MESSAGE_BY_TEXT if part in str(cause))
            message = _MESSAGE_BY_TEXT.get(next(texts, ""))
        if message is not None:
            return OutOfBudget(message)
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


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes, nearest first; safe against loops."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        yield cause
        cause = cause.__cause__
