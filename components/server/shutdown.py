"""How the page ends: told to, it stops all work, closes its doors, and leaves no file behind.

Knows signals, the studio, the files on offer and the server.
"""

from __future__ import annotations

import logging
import os
import signal
import threading

import gradio as gr

from components.work.downloads.files import Exports
from components.work.studio import Studio

LATE = 10.0
"""Seconds after which work that does not stop, such as an import, ends with the process."""

_log = logging.getLogger("dppa.page")


def until_told(page: gr.Blocks) -> None:
    """Wait for SIGTERM or Ctrl-C, then end: running work within a token or a tensor."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    told.wait()
    _log.info("ending")
    studio: Studio = page.studio
    exports: Exports = page.exports
    studio.close()
    page.close(verbose=False)
    exports.close()
    late = threading.Timer(LATE, os._exit, (0,))
    late.daemon = True
    late.start()  # the interpreter waits for threads, this one excepted
