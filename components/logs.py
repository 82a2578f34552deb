"""The log: what the page did and what went wrong, and nothing of who asked.

Knows how lines are written. Questions, answers, addresses and tokens are never in one: work is
logged by its name, how it ended and how long it took; a bug with its trace.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

ROOT = "dppa"
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
