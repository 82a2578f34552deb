"""Weights of mapped files, copied in small pieces into a core's cache.

Mapping and unmapping a page costs twice as much as copying it. Copies stay in a core's cache, and
no page counts as memory of this process.
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt8
from numpy import ndarray

from dppa_core.checkpoints.low_bit.lazy import Unfolded
from dppa_core.errors import DamagedCheckpoint

_MAX_HANDLES = 256
"""With this many open file handles, further files are only mapped: a process may open only so many,
and each mapping holds one."""


class Pages(mmap.mmap):
    """A mapped file that can also be read in parts.

    Args:
        handle: The open file; the caller may close it.
    """

    path: Path
    handle: int | None
    """A separate handle to read from; None if none is available."""
    address: int
    """Address of its first byte in memory."""
    _written: tuple[int, int]
    """Its size and modification time when it was opened."""

    def __new__(cls, handle: int, size: int, path: Path) -> Pages:
        self = super().__new__(cls, handle, size, access=mmap.ACCESS_READ)
        self.path, self.handle = path, _spare(handle)
        self._written = _written(handle)
        self.address = np.frombuffer(self, np.uint8).ctypes.data
        if self.handle is not None:
            weakref.finalize(self, os.close, self.handle)
        return self

    def read_into(self, room: UInt8[ndarray, " n"], start: int) -> None:
        """Fill an array with the bytes of the file from `start` on."""
        view, filled = room.data, 0
        while self.handle is not None and filled < room.size:
            try:
                count = os.preadv(self.handle, [view[filled:]], start + filled)
            except OSError as error:
                raise DamagedCheckpoint(f"{self.path}: cannot be read ({error}).") from error
            if not count:
                raise DamagedCheckpoint(f"{self.path}: became shorter while it was read.")
            filled += count
        self.check()  # after the read: the bytes are those of the opened file

    def check(self) -> None:
        """Refuse a file that was written to; deleting or replacing it does no harm.

        Reading a page beyond its end would kill the process.
        """
        if self.handle is None:
            return
        size, when = _written(self.handle)
        if size < self._written[0]:
            raise DamagedCheckpoint(f"{self.path}: became shorter while it was read.")
        if (size, when) != self._written:
            raise DamagedCheckpoint(
                f"{self.path}: was changed while it was read. Start again once it is complete."
            )


def _written(handle: int) -> tuple[int, int]:
    status = os.fstat(handle)
    return status.st_size, status.st_mtime_ns


def _spare(handle: int) -> int | None:
    """A second handle of the file, if few are open."""
    if not hasattr(os, "preadv"):
        return None
    try:
        spare = os.dup(handle)
    except OSError:  # too many open files: only mapping is left
        return None
    if spare < _MAX_HANDLES:
        return spare
    os.close(spare)
    return None


def origin(raw: Shaped[ndarray, " n"]) -> tuple[Pages, int] | None:
    """The file an array is a view of, and its offset there; None if it cannot be read in parts."""
    owner: object = raw.base
    while isinstance(owner, ndarray):
        owner = owner.base
    pages = owner.obj if isinstance(owner, memoryview) else owner
    if not isinstance(pages, Pages) or pages.handle is None or not raw.flags.c_contiguous:
        return None
    return pages, raw.__array_interface__["data"][0] - pages.address


OnRead = Callable[[Pages, int, UInt8[ndarray, " n"]], None]
"""Called with bytes that were read: the file, their offset, the bytes."""


class PageCopies:
    """Numbered buffers of one thread; a copy is valid until its buffer is used again."""

    def __init__(self, on_read: OnRead | None = None) -> None:
        self._on_read = on_read
        self._rooms: dict[int, UInt8[ndarray, " n"]] = {}
        self._held: dict[int, tuple[Pages, int, int]] = {}

    def copy(self, place: int, raw: Shaped[ndarray, " n"]) -> Shaped[ndarray, " n"] | None:
        """A copy of a part of a mapped file, in the numbered buffer; None for any other array.

        Weights of few bits are unfolded into memory of their own.

        Nothing is read if the buffer holds it already.
        """
        if isinstance(raw, Unfolded):
            return raw.read()
        source = origin(raw)
        if source is None or not raw.nbytes:
            return None
        piece = (*source, raw.nbytes)
        room = self._room(place, raw.nbytes)
        if self._held.get(place) != piece:
            self._held.pop(place, None)
            source[0].read_into(room, source[1])
            self._held[place] = piece
            if self._on_read is not None:
                self._on_read(*source, room)
        copied = room.view(raw.dtype)
        copied.flags.writeable = False  # like the original: loops are compiled for one kind
        return copied

    def _room(self, place: int, nbytes: int) -> UInt8[ndarray, " n"]:
        room = self._rooms.get(place)
        if room is None or room.size < nbytes:
            self._held.pop(place, None)
            self._rooms[place] = room = np.empty(nbytes, np.uint8)
        return room[:nbytes]
