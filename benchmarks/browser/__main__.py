"""`python -m benchmarks.browser`: words written in the visitor's tab, beside those of the server.

The embedded models, on the page as a visitor has it; both ways by turns in one browser. Then the
requests of a real tab, repeated by a crowd: what they cost the server, measured with `--write` and
kept in docs/bench-load.json.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch are imported

from playwright.sync_api import Browser, sync_playwright

from benchmarks.browser import figures
from benchmarks.browser.report import Row, Spread, text
from benchmarks.engine.journal import ROOT
from benchmarks.engine.write import keep
from benchmarks.load.__main__ import main as load
from benchmarks.load.report import MANY, MOST_SHARE
from benchmarks.measure import machine
from tests.e2e.chromium import HELP, find_chromium
from tests.e2e.page_driver import ARGUMENTS
from tests.e2e.server import Server


def measured(browser: Browser, url: str, rounds: int) -> Iterator[Row]:
    """Every figure of one browser."""
    yield from figures.answers(browser, url, rounds)
    yield figures.speed(browser, url, rounds)
    yield figures.five(browser, url, rounds)
    yield from figures.first_words(browser, url)
    yield figures.memory(browser, url)


def crowd() -> Row:
    """Processor time of the server, for visitors who drag and read for a minute, as kept last."""
    kept = json.loads((ROOT / "docs" / "bench-load.json").read_text("utf-8"))["phases"]
    reading = {phase["name"]: phase["reading"] for phase in kept if "reading" in phase}
    tab, today = (reading[f"words of the {way}"] for way in ("tab", "server"))
    name = f"server's processor time, {MANY} visitors drag and read for a minute"
    return Row(name, "s", Spread(tab), Spread(today), MOST_SHARE * today)


def measure(rounds: int) -> dict[str, Any]:
    """The rows of the page, with machine and versions."""
    program, rows, about = find_chromium(), list[Row](), machine()
    if program is None:
        raise SystemExit(HELP)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        versions = {"Chromium": browser.version, "gradio": version("gradio")}
        server = Server.start(Path(folder) / "app.log")
        try:
            for row in measured(browser, server.url, rounds):
                sys.stderr.write(f"{row.name}: {row.cell(row.tab)}, {row.cell(row.server)}\n")
                rows.append(row)
        finally:
            server.stop()
            browser.close()
    return {"machine": about, "versions": versions, "rows": [asdict(row) for row in rows]}


def main() -> None:
    """Read the arguments, measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.browser", description=__doc__)
    parser.add_argument("--rounds", type=int, default=figures.ROUNDS, help="of each way")
    parser.add_argument("--page", action="store_true", help="only the page, without the crowd")
    parser.add_argument("--write", action="store_true", help="into docs/, too")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    results = measure(options.rounds)
    if options.write and not options.page:
        load(["--words", "--write"])
    results["rows"].append(asdict(crowd()))
    if options.write:
        keep("bench-browser", results, text(results), "benchmarks")
    print(json.dumps(results, indent=2) if options.json else text(results))


if __name__ == "__main__":
    main()
