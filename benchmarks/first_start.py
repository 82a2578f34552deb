"""The start of a fresh copy: no byte code of ours, no compiled loops, no cache.

The browser opens the page and asks at once. `python -m benchmarks.ui --cold` measures only this.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser

from benchmarks.engine.journal import ROOT
from benchmarks.ui_report import Figure
from tests.e2e.page_driver import Studio, new_context
from tests.e2e.server import Server

RUNS, MOST = 3, 3.0
QUESTION = "Tom has 12 apples and buys 5 more. How many apples does Tom have?"
FIRST_WORD = """() => document.querySelector('.answer[data-target="merged"] .answer-text')
    ?.textContent.trim()"""
"""Whether the merge has written something."""


def cold_start(browser: Browser) -> Iterator[Figure]:
    """Seconds of each step; the least and not the median, since a start is measured few times."""
    steps: dict[str, list[float]] = {}
    for _ in range(RUNS):
        for name, seconds in _started(browser):
            steps.setdefault(name, []).append(seconds)
    for name, seconds in steps.items():
        most = MOST if name.startswith("Send") else None
        yield Figure(f"fresh copy, least of {RUNS}: {name}", "s", min(seconds), most, runs=RUNS)


def _started(browser: Browser) -> Iterator[tuple[str, float]]:
    with _fresh_copy() as copy:
        settings = {"HOME": str(copy), "DPPA_CACHE": str(copy / "cache"), "DPPA_COMPILE": "1"}
        begun = time.monotonic()
        server = Server.start(copy / "app.log", folder=copy, **settings)
        try:
            yield "start of the app to its first answer", time.monotonic() - begun
            begun = time.monotonic()
            studio = Studio.visit(new_context(browser), server.url)
            yield "opening the page", time.monotonic() - begun
            begun = time.monotonic()
            studio.ask(QUESTION)
            studio.page.wait_for_function(FIRST_WORD)
            yield "Send at once to the merge's first word", time.monotonic() - begun
            studio.wait_answer("merged")
            yield "Send at once to the merge's whole answer", time.monotonic() - begun
            studio.page.context.close()
        finally:
            server.stop()
            _end_those_of(copy)


@contextmanager
def _fresh_copy() -> Iterator[Path]:
    """The files that git knows, as they are now, in a folder of their own."""
    with TemporaryDirectory(prefix="cold") as name:
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True
        )
        for file in filter(None, listing.stdout.decode().split("\0")):
            (Path(name) / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, Path(name) / file)
        yield Path(name)


def _end_those_of(copy: Path) -> None:
    """End the process that compiles: it outlives the app."""
    mark = f"DPPA_CACHE={copy}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (process / "environ").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
