"""`python -m benchmarks.load`: 1, 10, 50 and 100 visitors of the real page, against targets.

The visitors run in one other process, over real connections, and share the cores with the
server; their CPU use is reported. `--long` adds 100,000 slider moves, by visitors who come and go.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from playwright.sync_api import sync_playwright

from benchmarks.engine.journal import ROOT
from benchmarks.engine.write import keep
from benchmarks.load.phases import CROWDS, Load
from benchmarks.load.recording import Recording, recorded
from benchmarks.load.report import CROWD, MANY, text
from benchmarks.measure import machine
from tests.e2e.chromium import find_chromium
from tests.e2e.page_driver import ARGUMENTS
from tests.e2e.server import Server

LONG_MOVES = 100_000
READY_SECONDS = 120.0


def start(folder: Path, **environment: str) -> Server:
    """The app as strangers use it, with its first models loaded."""
    cache = str(folder / "cache")
    settings = {"DPPA_PUBLIC": "1", "DPPA_METRICS": "1", "DPPA_CACHE": cache} | environment
    server = Server.start(folder / "app.log", **settings)
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if httpx.get(f"{server.url}/healthz").json()["ready"]:
            break
        time.sleep(0.2)
    return server


def versions() -> dict[str, str]:
    """Versions of the packages."""
    return {name: version(name) for name in ("gradio", "torch", "transformers")}


async def measure(load: Load, crowds: tuple[int, ...], moves: int) -> None:
    """Every phase, one after another."""
    for count in crowds:
        await load.drag(count)
        _say(load.phases[-1])
        await load.everything(count)
        _say(load.phases[-1])
    await load.merges(CROWD)
    _say(load.phases[-1])
    await load.greedy()
    _say(load.phases[-1])
    if moves:
        await load.long(moves)
        _say(load.phases[-1])


def record(url: str) -> tuple[Recording, Recording]:
    """What one real tab asks in a minute: with words by itself, and by the server."""
    with sync_playwright() as playwright:
        program = find_chromium()
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        tab, server = (recorded(browser, url, by_tab=way) for way in (True, False))
        browser.close()
    return tab, server


async def measure_words(load: Load, tab: Recording, server: Recording, count: int = MANY) -> None:
    """Crowds who read words, in both ways; and a class."""
    await load.words("words of the tab", tab, count)
    _say(load.phases[-1])
    await load.words("words of the server", server, count)
    _say(load.phases[-1])
    await load.lesson(tab)
    _say(load.phases[-1])


def _say(phase: dict[str, Any]) -> None:
    sys.stderr.write(json.dumps(phase) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--crowds", type=int, nargs="*", default=CROWDS, help="how many visitors")
    parser.add_argument("--long", action="store_true", help=f"and {LONG_MOVES:,} moves in a row")
    parser.add_argument("--moves", type=int, default=LONG_MOVES, help="of the long run")
    parser.add_argument("--soak", type=float, help="only this: seconds of crowds who come and go")
    parser.add_argument("--merges", action="store_true", help=f"only {CROWD} who ask own merges")
    parser.add_argument("--words", action="store_true", help=f"only {MANY} who read words")
    parser.add_argument("--write", action="store_true", help="into docs/, too")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args(arguments)
    about = machine()  # before this run adds load
    with TemporaryDirectory() as folder:
        server = start(Path(folder))
        load = Load(server.url, server.process.pid)
        try:
            recordings = None if options.soak or options.merges else record(server.url)
            if options.soak or options.merges:
                asyncio.run(load.soak(options.soak) if options.soak else load.merges(CROWD))
            elif not options.words:
                asyncio.run(
                    measure(load, tuple(options.crowds), options.moves if options.long else 0)
                )
            if recordings:
                asyncio.run(measure_words(load, *recordings))
        finally:
            server.stop()
    results = {"machine": about, "load_after": os.getloadavg()[0], "versions": versions()}
    results["phases"] = load.phases
    if options.soak or options.merges or options.words:  # the others stay as they were measured
        kept = json.loads((ROOT / "docs" / "bench-load.json").read_text("utf-8"))
        names = {phase["name"] for phase in load.phases}
        others = [phase for phase in kept["phases"] if phase["name"] not in names]
        results = kept | {"phases": others + load.phases}
    if options.json:
        print(json.dumps(results, indent=2))
        return
    if options.write:
        keep("bench-load", results, text(results), "reliability")
    print(text(results))


if __name__ == "__main__":
    main()
