"""The log: what the page did and what went wrong, and nothing of who asked.

Knows how lines are written. Questions, answers, addresses and tokens are never in one: work is
logged by its name, how it ended and how long it took; a bug with its trace. The server's warnings
about requests are logged once a minute, since any client can cause thousands.
"""

from __future__ import annotations

import logging
import math
import sys
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

ROOT = "dppa"
SERVER = "uvicorn.error"
SELDOM = 60.0
"""Seconds between two lines of the same warning of the server."""
_FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"


def start_log(form: Literal["text", "json"]) -> None:
    """Write this program's log to standard error, once a process."""
    log = logging.getLogger(ROOT)
    handler = logging.StreamHandler(sys.stderr)
    names = {"asctime": "time", "levelname": "level", "name": "part"}
    handler.setFormatter(
        JsonFormatter(_FIELDS, rename_fields=names)
        if form == "json"
        else logging.Formatter(_FIELDS)
    )
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.getLogger(SERVER).filters[:] = [RareWarnings()]


class RareWarnings(logging.Filter):
    """Drops a warning that was logged less than `SELDOM` seconds before; errors all pass."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written."""
        if record.levelno != logging.WARNING:
            return True
        if record.created - self._last.get(record.msg, -math.inf) < SELDOM:
            return False
        self._last[record.msg] = record.created
        return True
