"""The log: what the page did and what went wrong, without data of visitors.

It never contains questions, answers, addresses or tokens. The same warning of the server about
requests is logged at most once a minute, since any client can cause thousands.
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
    """Write this program's log to standard error."""
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
