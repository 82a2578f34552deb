"""`python -m benchmarks.ui`: the page's response times, against its targets.

Slider to paint on a model of 32 layers x 7 modules, cold start, first token, and memory during
long dragging. Drives the page with the helper of the browser tests.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch are imported

from playwright.sync_api import Browser, sync_playwright

from benchmarks.engine.journal import ROOT
from benchmarks.engine.write import keep
from benchmarks.first_start import cold_start
from benchmarks.measure import Measurement, machine, resident
from benchmarks.page import RECORD_PAINTS, first_token, startup, visit
from benchmarks.ui_report import Figure, text, with_figures
from tests.e2e.chromium import HELP, find_chromium
from tests.e2e.page_driver import ARGUMENTS, Studio
from tests.e2e.server import Server
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

LAYERS, MOVES, PAUSE_MS, RESTS = 32, 100, 120, 40
SHORT, LONG = 60, 600
"""Seconds of dragging."""
EVERY = 5.0
"""Seconds between two looks at the memory."""
MIB = 2**20


def many_layers(folder: Path) -> Path:
    """A base and three domain models of 32 narrow layers, to stand for the embedded ones."""
    base = random_llama(shape=Shape(layers=LAYERS))
    base.save(folder / "base")
    for seed, name in enumerate(("math", "finance", "law"), start=1):
        tuned_llama(base, seed).save(folder / name)
    return folder


def slider(browser: Browser, server: Server, delay: int) -> Figure:
    """From a move's own time stamp to the frame after the one that drew it."""
    studio = visit(browser, server, delay)
    cells = studio.page.locator("#heatmap g.cell").count()
    if cells != LAYERS * 7:
        raise SystemExit(f"The page draws {cells} cells instead of {LAYERS * 7}.")
    studio.page.evaluate(RECORD_PAINTS)
    studio.rate.focus()
    for move in range(MOVES):
        studio.page.keyboard.press("ArrowLeft" if move % 60 < 30 else "ArrowRight")
        studio.page.wait_for_timeout(PAUSE_MS)
    times = Measurement("", "", tuple(studio.page.evaluate("() => window.toPaint")))
    studio.page.context.close()
    name = f"slider to paint, {delay} ms round trip"
    return Figure(name, "ms", times.median, 30, times.p95, 50, len(times.milliseconds))


# From the last input event to the answer of the current merge.
RECORD_PINNED = """() => {
    window.toPinned = [];
    window.recipes = new Set();
    let last = null;
    document.addEventListener('input', event => { last = event.timeStamp; }, true);
    const box = document.querySelector('.pinned');
    new MutationObserver(() => {
        window.recipes.add(box.dataset.recipe);
        if (box.dataset.fresh !== 'true' || box.dataset.later || last === null) return;
        window.toPinned.push(performance.now() - last);
        last = null;
    }).observe(box, {attributes: true});
}"""


def pinned(browser: Browser, server: Server, delay: int) -> Iterator[Figure]:
    """The pinned answer after a slider's rest, and how often it follows one that moves."""
    studio = visit(browser, server, delay)
    page = studio.page
    page.locator('.pinned[data-fresh="true"]').wait_for()
    page.evaluate(RECORD_PINNED)
    studio.rate.focus()
    for number in range(RESTS):  # rates nobody had before: no cached answer
        studio.set_rate(number + (5 if delay else 45))
        page.locator('.pinned[data-fresh="true"]').wait_for()
        page.wait_for_timeout(PAUSE_MS)
    times = Measurement("", "", tuple(page.evaluate("() => window.toPinned")))
    most, runs = 330 if delay else 250, len(times.milliseconds)
    name = f"pinned answer after a slider's rest, {delay} ms round trip"
    yield Figure(name, "ms", times.median, None, times.p95, most, runs)
    page.evaluate("() => window.recipes.clear()")
    box = page.locator("#amplify .factor-row input[type=range]").first.bounding_box()
    if box is None:
        raise SystemExit("The first factor is not on the screen.")
    begun, middle = time.monotonic(), box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.2, middle)
    page.mouse.down()
    for move in range(MOVES):  # away from what the visitor before this one had seen
        share = 0.2 + (0.3 if delay else 0.7) * move / MOVES
        page.mouse.move(box["x"] + box["width"] * share, middle)
        page.wait_for_timeout(40)
    page.mouse.up()
    count = page.evaluate("() => window.recipes.size") / (time.monotonic() - begun)
    page.context.close()
    yield Figure(f"pinned answers while a slider moves, {delay} ms round trip", "a second", count)


def of_embedded(browser: Browser, folder: Path) -> Iterator[Figure]:
    """Cold start and first token, on the models the page opens with."""
    begin = time.perf_counter()
    server = Server.start(folder / "embedded.log")
    try:
        started = {row.name: row.median for row in startup("", browser, server, begin)}
        plot = started["start of the app to first plot"]
        yield Figure("start of the app to the first plot", "s", plot / 1000, 5)
        for delay in (0, 80):
            token = first_token("", browser, server, delay)
            name = f"send to first token, {delay} ms round trip"
            runs = len(token.milliseconds)
            yield Figure(name, "s", token.median / 1000, 2, token.p95 / 1000, None, runs)
            yield from pinned(browser, server, delay)
    finally:
        server.stop()


@dataclass(frozen=True, slots=True)
class Memory:
    """One sample, in bytes."""

    server: int
    browser: int
    heap: int
    """JavaScript heap after a collection."""


class Watch:
    """Measures the memory of one server, one browser and one page."""

    def __init__(self, browser: Browser, server: Server, studio: Studio) -> None:
        self._server = server
        self._browser = browser.new_browser_cdp_session()
        self._page = studio.page.context.new_cdp_session(studio.page)
        self._page.send("Performance.enable")

    def look(self) -> Memory:
        """What is in use now."""
        self._page.send("HeapProfiler.collectGarbage")
        metrics = self._page.send("Performance.getMetrics")["metrics"]
        heap = next(m["value"] for m in metrics if m["name"] == "JSHeapUsedSize")
        processes = self._browser.send("SystemInfo.getProcessInfo")["processInfo"]
        browser = sum(resident(process["id"]) for process in processes)
        return Memory(resident(self._server.process.pid), browser, int(heap))


def dragging(browser: Browser, server: Server, seconds: float) -> tuple[Figure, ...]:
    """Memory during constant dragging; the first sixth is not counted."""
    studio = visit(browser, server, 0)
    watch, readings = Watch(browser, server, studio), list[tuple[float, Memory]]()
    begin = looked = time.monotonic()
    ends = 30.0, 85.0
    while (now := time.monotonic()) - begin < seconds:
        studio.drag_rate(ends[0], steps=60)
        ends = ends[::-1]
        if now - looked >= EVERY or not readings:
            looked = now
            readings.append((now - begin, watch.look()))
    studio.page.context.close()
    counted = [memory for at, memory in readings if at >= seconds / 6] or [readings[-1][1]]
    third = max(1, len(counted) // 3)
    figures = []
    for name, most in (("server", 10), ("browser", 20), ("heap", 2)):
        sizes = [asdict(memory)[name] / MIB for memory in counted]
        before, after = (sorted(part)[len(part) // 2] for part in (sizes[:third], sizes[-third:]))
        owner = "the page's scripts" if name == "heap" else f"the {name}"
        label = f"growth of {owner} in {seconds / 60:.3g} minutes of dragging, of {before:.0f} MiB"
        figures.append(Figure(label, "MiB", after - before, most, runs=len(sizes)))
    return tuple(figures)


def measure(seconds: float, *, cold: bool = False) -> dict[str, Any]:
    """All results, or only those of a fresh copy, with machine and versions."""
    program = find_chromium()
    if program is None:
        raise SystemExit(HELP)
    figures: list[Figure] = []
    with TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        versions = {"Chromium": browser.version} | {
            package: version(package) for package in ("gradio", "torch", "transformers")
        }
        figures += cold_start(browser)
        if cold:
            return {"machine": machine(), "versions": versions, "figures": [*map(asdict, figures)]}
        figures += of_embedded(browser, folder)
        zoo = many_layers(folder / "zoo")
        cache = str(folder / "cache")
        server = Server.start(folder / "layers.log", DPPA_ZOO=str(zoo), DPPA_CACHE=cache)
        try:
            figures += (slider(browser, server, delay) for delay in (0, 80))
            figures += dragging(browser, server, seconds)
        finally:
            server.stop()
            browser.close()
    return {
        "machine": machine(),
        "versions": versions,
        "figures": [asdict(figure) for figure in figures],
    }


def main() -> None:
    """Read the arguments, measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ui", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SHORT, help=f"of dragging ({SHORT})")
    parser.add_argument("--long", action="store_true", help="drag for ten minutes")
    parser.add_argument("--cold", action="store_true", help="only the start of a fresh copy")
    parser.add_argument("--write", action="store_true", help="into docs/, too")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    results = measure(LONG if options.long else options.seconds, cold=options.cold)
    if options.cold:  # the others stay as they were measured
        kept = json.loads((ROOT / "docs" / "bench-ui.json").read_text("utf-8"))
        results = with_figures(kept, results["figures"], load)
    if options.write:
        keep("bench-ui", results, text(results), "benchmarks")
    print(json.dumps(results, indent=2) if options.json else text(results))


if __name__ == "__main__":
    main()
