"""Output of commands, and how a terminal ends them: signals, closed streams, encodings.

One JSON object or a text on stdout, progress on stderr.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any

from dppa_core.errors import InvalidValue, printable
from dppa_core.preflight_checks.estimate import in_time
from dppa_core.progress import Progress
from dppa_core.system.atomic_folders import unwritable

_SIGNALS = [signal.SIGINT, signal.SIGTERM] + ([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])


@contextmanager
def terminal() -> Iterator[None]:
    """Make a command end cleanly on signals, closed streams and other encodings.

    A signal unwinds the command, so that nothing half-written is left, and the exit code is
    128 plus its number. A stream that was closed cannot be written to, but nothing else takes its
    number. A character that the encoding lacks becomes a question mark.
    """
    _open_streams()
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # retries are logged; our one line says it
    heeded = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # nohup
    before = {number: signal.signal(number, _unwind) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_here() -> None:
    """Raise InvalidValue in a folder that is gone, where relative paths mean nothing."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InvalidValue(
            "The folder you are in is gone; it was deleted or replaced in the meantime. "
            "Change to another one."
        ) from None


def _unwind(number: int, frame: FrameType | None) -> None:
    for end_signal in _SIGNALS:  # a second one must not interrupt the cleaning
        signal.signal(end_signal, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _open_streams() -> None:
    if sys.stdout is None:  # so that writing fails, as the shell that closed it would expect
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def lost_output(error: OSError) -> SystemExit:
    """The end of a command whose output is lost: quiet for a closed pipe, else one line."""
    with open(os.devnull, "w") as nothing:  # for Python's own last flush
        os.dup2(nothing.fileno(), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return SystemExit(128 + signal.SIGPIPE)
    sys.stderr.write(f"dppa: standard output cannot be written: {error.strerror}.\n")
    return SystemExit(1)


def emit(value: Any, text: str, *, as_json: bool) -> None:
    """Write the value as JSON, or the text for people; SystemExit if it cannot be written."""
    line = json.dumps(value, allow_nan=False) if as_json else printable(text)
    try:
        sys.stdout.write(line.rstrip("\n") + "\n")
        sys.stdout.flush()
    except OSError as error:
        raise lost_output(error) from None


def write_text(path: Path, text: str) -> None:
    """Write a file beside the output; raises InvalidValue if it cannot be written."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise unwritable(path, error) from error


def teller(*, quiet: bool) -> Callable[[str], None]:
    """A function that writes lines to stderr, over the line of progress; quiet for programs."""

    def say(line: str) -> None:
        if not quiet:
            clear = "\r\x1b[K" if sys.stderr.isatty() else ""
            sys.stderr.write(f"{clear}{printable(line)}\n")
            sys.stderr.flush()

    return say


@contextmanager
def message_if_stopped(text: Callable[[], str]) -> Iterator[None]:
    """Write how to resume a stopped command before it ends."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):  # the terminal turns a signal into the latter
        sys.stderr.write(printable(text()) + "\n")
        raise


@contextmanager
def progress_line() -> Iterator[Progress | None]:
    """A line on stderr that is redrawn, and wiped at the end; None without a terminal.

    After three seconds of a part of the work it shows the time that the rest of that part takes.
    """
    stream = sys.stderr  # harness tasks are asked with another one in its place
    if not stream.isatty():
        yield None
        return
    began, before = time.monotonic(), (0, 0)

    def draw(count: int, total: int, item: str) -> None:
        nonlocal began, before
        if count < before[0] or total != before[1]:  # another part of the work
            began = time.monotonic()
        before, spent = (count, total), time.monotonic() - began
        left = f", {in_time(spent / count * (total - count))} left" if count and spent > 3 else ""
        stream.write(f"\r\x1b[K{count}/{total} {printable(item)}{left}")
        stream.flush()

    try:
        yield draw
    finally:
        stream.write("\r\x1b[K")
        stream.flush()
