"""Files made for visitors to download: one folder of this process, of limited size and lifetime.

A file is found only by a word that cannot be guessed: no path comes from outside. The process locks
its folder; the folder of a killed process is removed at the next start.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dppa_core.errors import InvalidValue, OutOfBudget
from dppa_core.preflight_checks.estimate import in_time
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.system.machine import free_disk
from dppa_core.system.shortage import shortage
from dppa_core.system.temporary import TemporaryFolder

from ..rate_limits import OF_A_PARTY
from ..visitor import Visitor
from .limits import Limits, MadeInAnHour


@dataclass(slots=True, eq=False)
class ExportedFile:
    """A file that can be downloaded."""

    word: str
    """Key of the file; it cannot be guessed."""
    visitor: Visitor
    path: Path
    nbytes: int
    sha256: str
    until: float
    """End of its lifetime on the monotonic clock."""
    downloads: int
    """Number of downloads left."""


@dataclass(slots=True, eq=False)
class ExportFolder:
    """A folder in which one file is made."""

    folder: Path
    reserved: int
    """Bytes reserved until the folder is closed."""


class Exports:
    """The files of one process, below `parent` or the system's temporary folder. Thread-safe."""

    def __init__(self, limits: Limits, parent: Path | None = None) -> None:
        self.limits = limits
        self._parent = parent or Path(tempfile.gettempdir())
        self._root: TemporaryFolder | None = None
        self._lock = threading.RLock()
        self._offers: dict[str, ExportedFile] = {}
        self._rooms: list[ExportFolder] = []
        self._hourly = MadeInAnHour(limits)

    @contextmanager
    def room(self, visitor: Visitor, nbytes: int, *, keeps: bool = True) -> Iterator[ExportFolder]:
        """A folder to make one file of at most `nbytes` in; removed unless `offer` took the file.

        With `keeps`, the file will be offered, and may replace the visitor's oldest. Raises
        OutOfBudget beyond the limit of a visitor, of all visitors, or of the disk, and InvalidValue
        if another program removed the folder meanwhile.
        """
        with self._lock:
            self.sweep()
            if keeps:
                self._make_way(visitor)
            self._hourly.check(visitor, nbytes)
            self._make_room(nbytes)
            room = ExportFolder(Path(tempfile.mkdtemp(dir=self._folder())), nbytes)
            self._rooms.append(room)
            self._hourly.add(visitor, nbytes)
        try:
            with _told_plainly(room):
                yield room
        finally:
            with self._lock:
                self._rooms.remove(room)
            if not any(file.path.parent == room.folder for file in self.offers()):
                shutil.rmtree(room.folder, ignore_errors=True)

    def offer(self, visitor: Visitor, room: ExportFolder, path: Path, sha256: str) -> ExportedFile:
        """Make a file of a folder available; everything else in the folder is removed."""
        for entry in room.folder.iterdir():
            if entry != path:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        file = ExportedFile(
            word=secrets.token_urlsafe(32),
            visitor=visitor,
            path=path,
            nbytes=path.stat().st_size,
            sha256=sha256,
            until=time.monotonic() + self.limits.seconds,
            downloads=self.limits.downloads,
        )
        with self._lock:
            self._offers[file.word] = file
        return file

    def offers(self, visitor: Visitor | None = None) -> tuple[ExportedFile, ...]:
        """The files of one tab, or of all visitors, the newest first. Empty for a visitor without a
        tab: all calls from one address are one such visitor, and who knows a file's word can
        download it."""
        with self._lock:
            self.sweep()
            files = tuple(reversed(self._offers.values()))
        if visitor is None:
            return files
        return tuple(file for file in files if visitor.session and file.visitor.tab == visitor.tab)

    def fetch(self, word: str, *, count: bool = True) -> ExportedFile | None:
        """The file of a word; None if there is none, or it has no downloads left."""
        with self._lock:
            self.sweep()
            file = self._offers.get(word)
            if file is None or file.downloads < 1:
                return None
            file.downloads -= count
            return file

    def forget(self, visitor: Visitor, word: str) -> None:
        """Remove a visitor's own file; another's stays."""
        with self._lock:
            file = self._offers.get(word)
            if file is not None and file.visitor.tab == visitor.tab:
                self._remove(file)

    def sweep(self) -> None:
        """Remove expired files."""
        with self._lock:
            now = time.monotonic()
            for file in [item for item in self._offers.values() if item.until <= now]:
                self._remove(file)

    @property
    def nbytes(self) -> int:
        """Bytes of all files, plus those reserved for files being made."""
        with self._lock:
            offered = sum(file.nbytes for file in self._offers.values())
            return offered + sum(room.reserved for room in self._rooms)

    def close(self) -> None:
        """Remove the folder with all files; for the end of the process."""
        with self._lock:
            self._offers.clear()
            if self._root:
                self._root.close()

    def _remove(self, offer: ExportedFile) -> None:
        del self._offers[offer.word]
        shutil.rmtree(offer.path.parent, ignore_errors=True)

    def _make_way(self, visitor: Visitor) -> None:
        """Remove the oldest files of a tab, and of its party, so that one more is allowed."""
        for name, most in (
            (visitor.tab, self.limits.files),
            (visitor.party, OF_A_PARTY * self.limits.files),
        ):
            held = [o for o in self._offers.values() if name in (o.visitor.tab, o.visitor.party)]
            for file in held[: max(0, len(held) - most + 1)]:
                self._remove(file)

    def _make_room(self, nbytes: int) -> None:
        """Remove undownloaded files of the party with most bytes, until so many bytes fit."""
        while self.nbytes + nbytes > self.limits.total:
            unfetched = [
                file for file in self._offers.values() if file.downloads == self.limits.downloads
            ]
            if not unfetched:
                break
            held = Counter[str]()
            for file in unfetched:
                held[file.visitor.party] += file.nbytes
            most = held.most_common(1)[0][0]
            self._remove(next(file for file in unfetched if file.visitor.party == most))
        self._check_room(nbytes)

    def _check_room(self, nbytes: int) -> None:
        limits = self.limits
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
            self._root = TemporaryFolder("export", self._parent)
            every = min(60.0, self.limits.seconds / 2)
            threading.Thread(
                target=_keep_sweeping, args=(weakref.ref(self), every), daemon=True
            ).start()
        return self._root.path


@contextmanager
def _told_plainly(room: ExportFolder) -> Iterator[None]:
    """Report errors of the disk while a file is made, without a path of this computer."""
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
    """Remove expired files regularly, until the owner is deleted."""
    while (exports := owner()) is not None:
        exports.sweep()
        del exports
        time.sleep(every)
