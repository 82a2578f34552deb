"""What a terminal does to a command: signals, streams that are closed, narrow encodings.

Knows no command.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from types import FrameType

from dppa_core.errors import InvalidValue

_ENDS = [signal.SIGINT, signal.SIGTERM] + ([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])


@contextmanager
def terminal() -> Iterator[None]:
    """Make a command end cleanly whatever its terminal does.

    A signal unwinds the command, so that nothing half-written stays behind, and the exit code is
    128 plus its number. A stream that was closed cannot be written to, but nothing else takes its
    number. A character that the encoding lacks becomes a question mark.
    """
    _open_streams()
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # each retry is told; our one line says it
    heeded = [number for number in _ENDS if signal.getsignal(number) != signal.SIG_IGN]  # nohup
    before = {number: signal.signal(number, _unwind) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_here() -> None:
    """Whether the folder a command was started in is still there.

    Raises:
        InvalidValue: it is not, so that no relative path means anything.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InvalidValue(
            "The folder you are in is gone. Go to another one; that it was deleted or replaced in "
            "the meantime is the usual cause."
        ) from None


def _unwind(number: int, frame: FrameType | None) -> None:
    for other in _ENDS:  # a second one must not interrupt the cleaning
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _open_streams() -> None:
    if sys.stdout is None:  # so that writing fails, as the shell that closed it would expect
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def lost_output(error: OSError) -> SystemExit:
    """The end of a command whose output nobody can read: quiet for a closed pipe, else one line."""
    with open(os.devnull, "w") as nothing:  # where Python's own last flush goes
        os.dup2(nothing.fileno(), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return SystemExit(128 + signal.SIGPIPE)
    sys.stderr.write(f"dppa: standard output cannot be written: {error.strerror}.\n")
    return SystemExit(1)
