"""What commands write: one JSON object or a table on stdout, progress on stderr.

Knows no command.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dppa_core.cli.terminal import lost_output
from dppa_core.progress import Progress
from dppa_core.system.atomic_folders import unwritable


def emit(value: Any, text: str, *, as_json: bool) -> None:
    """Write the value as JSON, or the text for people.

    Raises:
        SystemExit: nobody can read it: the pipe is closed, the disk it goes to full.
    """
    line = json.dumps(value, allow_nan=False) if as_json else text
    try:
        sys.stdout.write(line.rstrip("\n") + "\n")
        sys.stdout.flush()
    except OSError as error:
        raise lost_output(error) from None


def write_text(path: Path, text: str) -> None:
    """Write a file beside the output.

    Raises:
        InvalidValue: it cannot be written.
    """
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def progress_line() -> Iterator[Progress | None]:
    """A line on stderr that is drawn over and wiped at the end; None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return

    def draw(done: int, total: int, what: str) -> None:
        sys.stderr.write(f"\r\x1b[K{done}/{total} {what}")
        sys.stderr.flush()

    try:
        yield draw
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
