"""Fetches models before the page opens, so that its list offers them."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from dppa_core.checkpoints.sources.fetchable import FETCHABLE, fetch_model
from dppa_core.errors import DppaError

log = logging.getLogger("dppa.page")


def fetch_at_start(names: Iterable[str]) -> None:
    """Fetch models by name; the page opens without those that fail, and the log says why."""
    for name in names:
        try:
            fetch_model(FETCHABLE[name])
        except DppaError as error:
            log.warning("The page opens without %s: %s", name, error)
