"""Files made for visitors to download: one folder of this process, bounded, emptied after a time.

Knows files and who asked for them, not what is in them. A file is found by a word that nobody can
guess and by nothing else: no path ever comes from outside. The folder is locked by its process;
what a killed one left is removed at the next start.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dppa_core.errors import InvalidValue, OutOfBudget
from dppa_core.preflight.estimate import in_time
from dppa_core.preflight.facts import in_bytes
from dppa_core.preflight.machine import free_disk
from dppa_core.scratch import Scratch
from dppa_core.shortage import shortage

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What visitors may have made for them."""

    files: int
    """Of one visitor at a time; the oldest makes room."""
    total: int
    """Bytes of all files of all visitors, and of what is being made."""
    hourly: int
    """Bytes made for one visitor in an hour."""
    hourly_total: int
    """Bytes made for all visitors in an hour."""
    seconds: float
    """How long a file stays."""
    downloads: int
    """How often one file can be fetched."""


PUBLIC = Limits(
    files=3,
    total=1_000_000_000,
    hourly=200_000_000,
    hourly_total=5_000_000_000,
    seconds=1800.0,
    downloads=5,
)
OWN = Limits(
    files=20,
    total=200_000_000_000,
    hourly=10**15,
    hourly_total=10**15,
    seconds=6 * HOUR,
    downloads=1000,
)


@dataclass(slots=True, eq=False)
class Offer:
    """A file that can be fetched."""

    word: str
    """What it is found by; nobody can guess it."""
    visitor: str
    path: Path
    nbytes: int
    sha256: str
    until: float
    """Of the monotonic clock."""
    downloads: int
    """How often it can still be fetched."""

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.path.name


@dataclass(slots=True, eq=False)
class Room:
    """A folder to make one file in."""

    folder: Path
    reserved: int
    """Bytes, until it is closed."""


@dataclass(slots=True)
class _Made:
    """When how much was made for whom, over the last hour."""

    entries: list[tuple[float, str, int]] = field(default_factory=list)

    def bytes_of(self, visitor: str | None) -> int:
        """Of one visitor, or of all."""
        self.entries = [one for one in self.entries if one[0] > time.monotonic() - HOUR]
        return sum(size for _, who, size in self.entries if visitor in (None, who))


class Exports:
    """The files of one process. Safe for many threads."""

    def __init__(self, limits: Limits, parent: Path | None = None) -> None:
        """
        Args:
            limits: See `PUBLIC` and `OWN`.
            parent: Where the folder lies, once it is needed; the system's place if unset.
        """
        self.limits = limits
        self._parent = parent or Path(tempfile.gettempdir())
        self._root: Scratch | None = None
        self._lock = threading.RLock()
        self._offers: dict[str, Offer] = {}
        self._rooms: list[Room] = []
        self._made = _Made()

    @contextmanager
    def room(self, visitor: str, nbytes: int, *, keeps: bool = True) -> Iterator[Room]:
        """A folder to make one file in; gone afterwards, but for the file that `offer` took.

        Args:
            visitor: Who asked.
            nbytes: What will lie there at most.
            keeps: Whether a file will be offered, for which the visitor's oldest may have to go.

        Raises:
            OutOfBudget: more than one visitor, all of them, or the disk may have.
            InvalidValue: the folder was removed by somebody else while the file was made.
        """
        with self._lock:
            self.sweep()
            if keeps:
                self._make_way(visitor)
            self._check(visitor, nbytes)
            room = Room(Path(tempfile.mkdtemp(dir=self._folder())), nbytes)
            self._rooms.append(room)
            self._made.entries.append((time.monotonic(), visitor, nbytes))
        try:
            with _told_plainly(room):
                yield room
        finally:
            with self._lock:
                self._rooms.remove(room)
            if not any(one.path.parent == room.folder for one in self.offers()):
                shutil.rmtree(room.folder, ignore_errors=True)

    def offer(self, visitor: str, room: Room, path: Path, sha256: str) -> Offer:
        """Let a file of a room be fetched; everything else in the room goes."""
        for other in room.folder.iterdir():
            if other != path:
                shutil.rmtree(other) if other.is_dir() else other.unlink()
        made = Offer(
            word=secrets.token_urlsafe(32),
            visitor=visitor,
            path=path,
            nbytes=path.stat().st_size,
            sha256=sha256,
            until=time.monotonic() + self.limits.seconds,
            downloads=self.limits.downloads,
        )
        with self._lock:
            self._offers[made.word] = made
        return made

    def offers(self, visitor: str | None = None) -> tuple[Offer, ...]:
        """What one visitor, or anybody, can fetch now; the newest first."""
        with self._lock:
            self.sweep()
            found = [one for one in self._offers.values() if visitor in (None, one.visitor)]
        return tuple(reversed(found))

    def fetch(self, word: str, *, count: bool = True) -> Offer | None:
        """The file of a word; None where there is none, or it was fetched too often."""
        with self._lock:
            self.sweep()
            found = self._offers.get(word)
            if found is None or found.downloads < 1:
                return None
            found.downloads -= count
            return found

    def forget(self, visitor: str, word: str) -> None:
        """Remove a visitor's own file; another's stays."""
        with self._lock:
            found = self._offers.get(word)
            if found is not None and found.visitor == visitor:
                self._remove(found)

    def sweep(self) -> None:
        """Remove what has stayed long enough."""
        with self._lock:
            now = time.monotonic()
            for one in [one for one in self._offers.values() if one.until <= now]:
                self._remove(one)

    @property
    def nbytes(self) -> int:
        """Bytes of all files, and of what is being made at most."""
        with self._lock:
            made = sum(one.nbytes for one in self._offers.values())
            return made + sum(room.reserved for room in self._rooms)

    def close(self) -> None:
        """Remove the folder with all files; for the end of the process."""
        with self._lock:
            self._offers.clear()
            if self._root:
                self._root.close()

    def _remove(self, offer: Offer) -> None:
        del self._offers[offer.word]
        shutil.rmtree(offer.path.parent, ignore_errors=True)

    def _make_way(self, visitor: str) -> None:
        mine = [one for one in self._offers.values() if one.visitor == visitor]
        for one in mine[: max(0, len(mine) - self.limits.files + 1)]:
            self._remove(one)

    def _check(self, visitor: str, nbytes: int) -> None:
        limits = self.limits
        for who, most in ((visitor, limits.hourly), (None, limits.hourly_total)):
            if self._made.bytes_of(who) + nbytes > most:
                whose = "a visitor" if who else "all visitors together"
                raise OutOfBudget(
                    f"This page makes up to {in_bytes(most)} of files an hour for {whose}, and "
                    f"{in_bytes(nbytes)} more are too much. Wait a while, or use your own copy."
                )
        if self.nbytes + nbytes > limits.total:
            raise OutOfBudget(
                f"There is no room for {in_bytes(nbytes)} now: files of this page may take "
                f"{in_bytes(limits.total)}. They are removed after {in_time(limits.seconds)}; try "
                "again then."
            )
        free = free_disk(self._parent)
        if nbytes > 0.9 * free:
            raise OutOfBudget(
                f"{in_bytes(nbytes)} do not fit on the disk of {self._parent}, where "
                f"{in_bytes(free)} are free. Save the recipe, and run `dppa merge recipe.yaml "
                "--out DIR` with a folder on a larger disk."
            )

    def _folder(self) -> Path:
        if self._root is None or not self._root.path.is_dir():
            self._root = Scratch("export", self._parent)
            every = min(60.0, self.limits.seconds / 2)
            threading.Thread(
                target=_keep_sweeping, args=(weakref.ref(self), every), daemon=True
            ).start()
        return self._root.path


@contextmanager
def _told_plainly(room: Room) -> Iterator[None]:
    """What the disk refuses while a file is made, without a path of this computer."""
    try:
        yield
    except (OSError, InvalidValue) as error:
        lacking = shortage(error)
        if lacking is not None:
            raise lacking from error
        if not room.folder.is_dir():
            raise InvalidValue(
                "The folder in which the file was made is gone. A system that clears its folder "
                "for temporary files is the usual cause; make the file again."
            ) from error
        raise


def _keep_sweeping(owner: weakref.ref[Exports], every: float) -> None:
    """Files go though nobody asks for any; ends with the owner."""
    while (exports := owner()) is not None:
        exports.sweep()
        del exports
        time.sleep(every)
