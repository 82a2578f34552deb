"""The log: what the page did and what went wrong, without data of visitors.

It never contains questions, answers, addresses or tokens. Libraries write what a client sent into
their messages, warnings and errors; where strangers use the page, only the place and the class are
logged, and in one's own copy the text without control characters. A library's line is logged at
most once a minute, since any client can cause thousands.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pythonjsonlogger.json import JsonFormatter

from dppa_core.errors import printable, trace_text

ROOT = "dppa"
SERVER = "uvicorn.error"
SELDOM = 60.0
"""Seconds between two lines of the same place in a library."""
_FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"


def start_log(form: Literal["text", "json"], *, public: bool) -> None:
    """Write this program's log, and what libraries report, to standard error."""
    handler = _Log(public=public)
    names = {"asctime": "time", "levelname": "level", "name": "part"}
    formatter = (
        JsonFormatter(_FIELDS, rename_fields=names)
        if form == "json"
        else logging.Formatter(_FIELDS)
    )
    formatter.formatException = partial(_trace, messages=not public)  # type: ignore[method-assign]
    handler.setFormatter(formatter)
    log = logging.getLogger(ROOT)
    for logger in (log, logging.getLogger()):
        logger.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
    warnings.showwarning = _log_warning  # type: ignore[assignment]
    threading.excepthook = lambda caught: _log_bug("a thread failed", caught.exc_value)
    sys.unraisablehook = lambda caught: _log_bug("an error was ignored", caught.exc_value)


def hear_server() -> None:
    """Take the server's log lines; it sets up a handler of its own whenever it is configured."""
    server = logging.getLogger(SERVER.partition(".")[0])
    server.handlers.clear()
    server.propagate = True


class _Log(logging.StreamHandler[Any]):
    """Writes lines; those of libraries without what they may quote."""

    def __init__(self, *, public: bool) -> None:
        super().__init__(sys.stderr)
        self._public = public
        self.addFilter(RareLines())

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop a line that cannot be written; the library would print it with its arguments."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record; its trace follows."""
        if not _is_own(record):
            text = self._foreign(record)
            place = record.name, record.levelno, record.pathname, record.lineno
            record = logging.LogRecord(*place, text, (), record.exc_info)
        return printable(super().format(record))

    def _foreign(self, record: logging.LogRecord) -> str:
        if not self._public:
            return printable(record.getMessage(), keep="")
        if record.name == SERVER:  # its texts quote through arguments alone
            return str(record.msg).strip()
        return f"line {record.lineno} of {Path(record.pathname).name}"


class RareLines(logging.Filter):
    """Drops a library's line of a place that wrote one less than `SELDOM` seconds before; errors of
    the server all pass."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if a line is to be written."""
        if _is_own(record) or (record.name == SERVER and record.levelno != logging.WARNING):
            return True
        place = record.pathname, record.lineno
        if record.created - self._last.get(place, -math.inf) < SELDOM:
            return False
        self._last[place] = record.created
        return True


def _is_own(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == ROOT


def _trace(caught: Any, *, messages: bool) -> str:
    return trace_text(caught[1], messages=messages) if caught[1] else ""


def _log_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any
) -> None:
    """Log a warning of Python, instead of printing it."""
    place = "py.warnings", logging.WARNING, filename, lineno
    record = logging.LogRecord(*place, "%s: %s", (category.__name__, message), None)
    logging.getLogger().handle(record)


def _log_bug(event: str, error: BaseException | None) -> None:
    logging.getLogger(f"{ROOT}.page").error("%s", event, exc_info=error)
