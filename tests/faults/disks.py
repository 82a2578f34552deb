"""Disks that are really full or really read-only, in a forked process.

The process ends with the work. If the kernel allows it (root, or a private user
namespace), the disk is a small tmpfs that only the process sees and that disappears with
it; otherwise a limit on file sizes, and a folder without write permission, which
root heeds once its capabilities are dropped.
"""

import ctypes
import os
import pickle
import resource
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

SECONDS = 60
"""After which a fork that hangs is killed."""
_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_RDONLY, _REMOUNT, _REC, _PRIVATE = 1, 32, 0x4000, 1 << 18
_CAPABILITIES_3 = 0x20080522
_BALLAST = ".ballast"
_libc = ctypes.CDLL(None, use_errno=True)


def forked(work: Callable[[], Result]) -> Result:
    """The result of work in a fork of this process; its error is raised here."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of forks with threads
        child = os.fork()
    if child == 0:
        _answer(work, reading, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise AssertionError(f"the process died of {signal.Signals(os.WTERMSIG(status)).name}")
    error, result = pickle.loads(data)
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def _answer(work: Callable[[], object], reading: int, writing: int) -> None:
    """End this process, with the result of work written to a pipe."""
    try:
        os.close(reading)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        try:
            pickled = pickle.dumps((None, work()))
        except BaseException as error:
            pickled = _pickled(error)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(pickled)
    finally:
        os._exit(0)


def _pickled(error: BaseException) -> bytes:
    try:
        return pickle.dumps((error, None))
    except Exception:
        return pickle.dumps((AssertionError(f"{type(error).__name__}: {error}"), None))


def contents(folder: Path) -> dict[str, bytes]:
    """All files by path, except the one filling the disk."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != _BALLAST)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@dataclass(slots=True)
class Disk:
    """A folder on its own disk; only inside `forked`.

    Args:
        folder: Its path; recreated.
        nbytes: Its size.
        mounted: Whether to mount a file system; else what an ordinary user can do.
    """

    folder: Path
    nbytes: int
    mounted: bool = True

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mounted = self.mounted and _mount(self.folder, self.nbytes)
        if not self.mounted:
            _limit(self.nbytes)

    @property
    def full(self) -> str:
        """The error text when it is full."""
        return "the disk is full" if self.mounted else "no file may grow that large"

    @property
    def locked(self) -> str:
        """The error text when it is read-only."""
        return "read-only" if self.mounted else "no permission"

    def fill(self) -> None:
        """Leave no byte free."""
        if not self.mounted:
            _limit(0)
            return
        with (self.folder / _BALLAST).open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 12))
            except OSError:
                return

    def empty(self) -> None:
        """Undo `fill`."""
        if not self.mounted:
            _limit(resource.RLIM_INFINITY)
            return
        (self.folder / _BALLAST).unlink(missing_ok=True)
        _system(_libc.mount(b"none", bytes(self.folder), b"tmpfs", _REMOUNT, b"size=64m"))

    def lock(self) -> None:
        """Make it read-only."""
        if self.mounted:
            flags = _REMOUNT | _RDONLY
            _system(_libc.mount(b"none", bytes(self.folder), b"tmpfs", flags, None))
            return
        _drop_capabilities()
        for path in (self.folder, *(inner for inner in self.folder.rglob("*") if inner.is_dir())):
            path.chmod(0o555)

    def unlock(self) -> None:
        """Make it writable again."""
        if self.mounted:
            _system(_libc.mount(b"none", bytes(self.folder), b"tmpfs", _REMOUNT, None))
            return
        for path in (self.folder, *(inner for inner in self.folder.rglob("*") if inner.is_dir())):
            path.chmod(0o755)


def _mount(folder: Path, nbytes: int) -> bool:
    """Mount a tmpfs in a private namespace; whether it worked."""
    try:
        _own_namespace()
        _system(_libc.mount(None, b"/", None, _REC | _PRIVATE, None))
        size = f"size={nbytes},mode=700".encode()
        _system(_libc.mount(b"none", bytes(folder), b"tmpfs", 0, size))
    except OSError:
        return False
    return True


def _own_namespace() -> None:
    try:
        _system(_libc.unshare(_NEWNS))
        return
    except OSError:
        user, group = os.getuid(), os.getgid()
    _system(_libc.unshare(_NEWUSER | _NEWNS))
    for name, text in (
        ("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")
    ):  # fmt: skip
        Path("/proc/self", name).write_text(text)


def _limit(nbytes: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))


def _drop_capabilities() -> None:
    """Without them, permissions apply to root too."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    _system(_libc.capset(header, (ctypes.c_uint32 * 6)()))


def _system(code: int) -> None:
    if code:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
