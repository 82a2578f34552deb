"""Writes a folder or file atomically: it appears complete under its name, or not at all.

During writing the folder lies beside its target, named `.NAME.dppa-partial-XXXX` and locked by its
process. The lock ends with the process, so the next writer to the target can remove folders of dead
processes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dppa_core.errors import InvalidValue, NotAllowed
from dppa_core.system.locks import exchange, lock_folder, locked_new, rename_aside

_MAX_NAME_BYTES = 255
"""Longest file name in bytes, on every common file system."""

_CAUSES = {
    errno.ENOSPC: "the disk is full; free some space, or choose another place",
    errno.EDQUOT: "the disk quota is used up; free some space, or choose another place",
    errno.EFBIG: "no file may grow that large there; write smaller shards (--shard-size)",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EACCES: "no permission to write there; choose another place",
    errno.EPERM: "no permission to write there; choose another place",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EISDIR: "it is a folder; name a file",
    errno.ENOTDIR: "a part of its path is a file, not a folder; a typing error is the usual cause",
}


def unwritable(target: Path, error: OSError) -> InvalidValue:
    """The error to raise, of one line, if the system refuses to write."""
    cause = _CAUSES.get(error.errno or 0, error.strerror or str(error))
    return InvalidValue(f"{target}: cannot be written: {cause}.")


def check_file(path: Path) -> None:
    """Refuse a file that cannot be written, before the long work whose result it takes.

    Raises:
        InvalidValue: it cannot be written, as far as a check without writing shows.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))  # a named pipe would wait
    except FileNotFoundError as error:
        parent = Path(os.path.realpath(path)).parent
        if not parent.is_dir():
            raise InvalidValue(f"{path}: cannot be written: there is no folder {parent}.") from None
        if not os.access(parent, os.W_OK | os.X_OK):
            raise unwritable(path, PermissionError(errno.EACCES, "")) from error
    except OSError as error:
        raise unwritable(path, error) from error


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file atomically: at every moment it is the old one or the new one.

    Raises:
        InvalidValue: it cannot be written; the old file stays.
    """
    new = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}")
    try:
        try:
            new.write_bytes(content.encode() if isinstance(content, str) else content)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def atomic_folder(
    target: Path, *, may_replace: Callable[[], object] | None = None, sync: bool = True
) -> Iterator[Path]:
    """A new folder that replaces the target on success and is removed on failure.

    The target is never missing or incomplete: a new one is renamed into place, and an existing one
    is exchanged with the new one in a single step if the kernel can.

    Args:
        target: The folder to make, links resolved. Parents are made, and removed on failure.
        may_replace: None keeps a target that is not empty. Otherwise it is called just before the
            target is replaced, and raises if the target must stay.
        sync: Wait until everything is on the disk, so that even a power cut leaves no
            incomplete target.

    Raises:
        InvalidValue: the target cannot be written, or appeared meanwhile.
    """
    if sys.platform == "win32":
        raise NotAllowed(
            "Merged folders are written on Linux and macOS; on Windows in its Subsystem for Linux."
        )
    try:
        with _parents(target), _partial(target) as folder:
            yield folder
            if sync:
                sync_paths(*folder.iterdir(), folder)
            _put(folder, target, may_replace)
            if sync:
                sync_paths(target.parent)
    except OSError as error:
        raise unwritable(target, error) from error


@contextmanager
def _parents(target: Path) -> Iterator[None]:
    created = [folder for folder in target.parents if not folder.exists()]  # the deepest first
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for folder in created:
            with suppress(OSError):  # not empty: it holds the target
                folder.rmdir()


@contextmanager
def _partial(target: Path) -> Iterator[Path]:
    sweep(target)

    def make() -> Path:
        folder = target.with_name(_new_name(target, "partial"))
        folder.mkdir()  # mode by the umask: this folder becomes the target
        return folder

    folder, lock = locked_new(make)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # unfinished, or the replaced folder
        if lock is not None:
            os.close(lock)


def sweep(target: Path) -> None:
    """Remove partial folders of killed processes, and restore folders they had set aside."""
    for path in target.parent.iterdir():
        aside = _is_named(path, target, "old")
        if not aside and not _is_named(path, target, "partial"):
            continue
        try:
            lock = lock_folder(path)
        except OSError:  # its process is alive, or the file system has no locks
            continue
        try:
            if aside and not os.path.lexists(target):
                path.rename(target)
            else:
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


def _put(folder: Path, target: Path, may_replace: Callable[[], object] | None) -> None:
    try:
        folder.rename(target)  # replaces only an empty folder
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        if may_replace is None:
            raise InvalidValue(
                f"{target}: appeared while the merge was written, and is kept. "
                "Choose another folder, or allow overwriting (--overwrite)."
            ) from None
        may_replace()
        if not exchange(folder, target):
            rename_aside(folder, target, _new_name(target, "old"))


def _new_name(target: Path, kind: str) -> str:
    return _prefix(target, kind) + secrets.token_hex(4)


def _is_named(path: Path, target: Path, kind: str) -> bool:
    pattern = re.escape(_prefix(target, kind)) + "[0-9a-f]{8}"
    return re.fullmatch(pattern, path.name) is not None


def _prefix(target: Path, kind: str) -> str:
    prefix = f".{target.name}.dppa-{kind}-"
    if len(os.fsencode(prefix)) + 8 <= _MAX_NAME_BYTES:
        return prefix
    return f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}.dppa-{kind}-"


def sync_paths(*paths: Path) -> None:
    """Wait until files and folders are on the disk."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
