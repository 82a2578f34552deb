"""Weights of mapped files, copied bit by bit to memory that a core has near.

Knows arrays and the files they are views of, not tensors. To have the system map a page, and take
it back again, costs twice as much as to have it copied; what was copied is read from a core's own
cache, and no page is counted as memory of this process.
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

from dppa_core.errors import DamagedCheckpoint

_HANDLES = 256
"""Files from this number on are only mapped: a process may have no more than some open, and each
mapping has one already."""


class Pages(mmap.mmap):
    """A mapped file, parts of which can also be read.

    Args:
        handle: The open file; the caller may close it.
        size: Its bytes.
        path: How it is called in messages.
    """

    path: Path
    handle: int | None
    """A file of its own to read from; None where there is none to be had."""
    address: int
    """Of its first byte in memory."""
    _written: tuple[int, int]
    """Size and time of the last change when it was opened."""

    def __new__(cls, handle: int, size: int, path: Path) -> Pages:
        self = super().__new__(cls, handle, size, access=mmap.ACCESS_READ)
        self.path, self.handle = path, _spare(handle)
        self._written = _written(handle)
        self.address = np.frombuffer(self, np.uint8).ctypes.data
        if self.handle is not None:
            weakref.finalize(self, os.close, self.handle)
        return self

    def read_into(self, room: UInt8[ndarray, " n"], start: int) -> None:
        """Fill an array with the bytes of the file from `start` on.

        Raises:
            DamagedCheckpoint: the file was written to meanwhile, or cannot be read.
        """
        view, done = room.data, 0
        while self.handle is not None and done < room.size:
            try:
                got = os.preadv(self.handle, [view[done:]], start + done)
            except OSError as error:
                raise DamagedCheckpoint(f"{self.path}: cannot be read ({error}).") from error
            if not got:
                raise DamagedCheckpoint(f"{self.path}: became shorter while it was read.")
            done += got
        self.check()  # afterwards: what was read by now is what was there when it was opened

    def check(self) -> None:
        """Whether the file still holds what it held; that it was deleted or replaced is no harm.

        Raises:
            DamagedCheckpoint: it was written to. A page that is gone would end the process.
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
    """The same file under another number, where few are open."""
    if not hasattr(os, "preadv"):
        return None
    try:
        own = os.dup(handle)
    except OSError:  # too many are open: mapped files are all there is
        return None
    if own < _HANDLES:
        return own
    os.close(own)
    return None


def origin(raw: Shaped[ndarray, " n"]) -> tuple[Pages, int] | None:
    """The file an array is a view of, and at which byte; None where that cannot be read."""
    owner: object = raw.base
    while isinstance(owner, ndarray):
        owner = owner.base
    pages = owner.obj if isinstance(owner, memoryview) else owner
    if not isinstance(pages, Pages) or pages.handle is None or not raw.flags.c_contiguous:
        return None
    return pages, raw.__array_interface__["data"][0] - pages.address


Heard = Callable[[Pages, int, UInt8[ndarray, " n"]], None]
"""Told of bytes that were read: of which file, from where on, and which."""


class PageCopies:
    """Some places for copies, each good until it is asked for something else. For one thread only.

    Args:
        heard: Told of everything that is read; nobody if unset.
    """

    def __init__(self, heard: Heard | None = None) -> None:
        self._heard = heard
        self._rooms: dict[int, UInt8[ndarray, " n"]] = {}
        self._held: dict[int, tuple[Pages, int, int]] = {}

    def copy(self, place: int, raw: Shaped[ndarray, " n"]) -> Shaped[ndarray, " n"] | None:
        """A copy of a part of a mapped file; None where an array is something else.

        Args:
            place: Where it goes.
            raw: What to copy; if the place holds it already, nothing is read.
        """
        found = origin(raw)
        if found is None or not raw.nbytes:
            return None
        wanted = (*found, raw.nbytes)
        room = self._room(place, raw.nbytes)
        if self._held.get(place) != wanted:
            self._held.pop(place, None)
            found[0].read_into(room, found[1])
            self._held[place] = wanted
            if self._heard is not None:
                self._heard(*found, room)
        copied = room.view(raw.dtype)
        copied.flags.writeable = False  # as what it is a copy of: loops are compiled for one kind
        return copied

    def _room(self, place: int, nbytes: int) -> UInt8[ndarray, " n"]:
        room = self._rooms.get(place)
        if room is None or room.size < nbytes:
            self._held.pop(place, None)
            self._rooms[place] = room = np.empty(nbytes, np.uint8)
        return room[:nbytes]
