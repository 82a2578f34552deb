"""Visitors of the page: one whose words the tab writes, and one whose browser has no workers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Request

from tests.e2e.page_driver import Studio, new_context

LIVING = '[data-living="answer"]'
EVENTS = 60
"""Of a thumb that is dragged, a second."""
FIRST_MS = 120_000
"""Within which the first words come; a server packs the models once, before they are fetched."""
HIGHEST = 85
"""The pruning rate, in percent, from which a visitor moves down."""
WATCH = Path(__file__).with_name("watch.js")
BLOCKED = "delete window.Worker;"


def context_of(browser: Browser, *, by_tab: bool) -> BrowserContext:
    """A visitor of their own, in whose pages wishes and answers are noted."""
    context = new_context(browser)
    watch = f"{{ {WATCH.read_text('utf-8')} }}"
    context.add_init_script(watch if by_tab else BLOCKED + watch)
    return context


class Reader:
    """One visitor who moves sliders and reads the pinned answer."""

    def __init__(
        self,
        browser: Browser,
        url: str,
        *,
        by_tab: bool,
        delay: int = 0,
        watched: Callable[[Request], object] | None = None,
    ) -> None:
        """
        Args:
            browser: Where the tab is opened.
            url: Of the page.
            by_tab: Whether the tab writes the words; else the server does.
            delay: Milliseconds that every answer of the network takes, once the first is read.
            watched: Called with every request.
        """
        self.source = "tab" if by_tab else "server"
        context = context_of(browser, by_tab=by_tab)
        if watched:
            context.on("request", watched)
        self.studio = Studio.visit(context, url)
        self.page = self.studio.page
        self.studio.wait_models()
        self.studio.wait_exact()
        self.page.evaluate("() => window.bench.watch()")
        self._factor = 1.0 if by_tab else 1.02
        self.begin()
        if delay:
            devtools = context.new_cdp_session(self.page)
            network = {"latency": delay, "downloadThroughput": -1, "uploadThroughput": -1}
            devtools.send("Network.emulateNetworkConditions", network | {"offline": False})

    def begin(self) -> None:
        """Choose a factor that nobody has had: no answer is known. Wait for the first one."""
        self.page.bring_to_front()
        self._factor = round(self._factor + 0.05, 2)
        factors = self.page.locator("#amplify .factor-row input[type=range]")
        self.studio.set_range(factors.first, self._factor)
        self.studio.set_range(self.studio.rate, HIGHEST)
        self.wait_whole()
        self.page.wait_for_timeout(300)
        lists = "merged: [], whole: [], shown: [], frames: []"
        self.page.evaluate(f"() => Object.assign(window.bench, {{ input: null, {lists} }})")

    def wait_whole(self) -> None:
        """Wait for the answer of the current merge, by the expected way."""
        whole = f'{LIVING}[data-state="whole"][data-source="{self.source}"]'
        self.page.locator(whole).wait_for(timeout=FIRST_MS)

    def noted(self, name: str) -> Any:
        """What was noted since `begin`."""
        return self.page.evaluate(f"() => window.bench.{name}")

    def moves(self, count: int, pause: int = 150) -> list[float]:
        """Single moves by a key; milliseconds from each to its whole answer."""
        self.studio.rate.focus()
        for number in range(count):
            self.page.keyboard.press("ArrowLeft")
            self.page.wait_for_function("seen => window.bench.whole.length > seen", arg=number)
            self.page.wait_for_timeout(pause)
        self.wait_whole()
        return list(self.noted("whole"))

    def drag(self, seconds: float) -> float:
        """Drag the pruning slider down, and to and fro if there is time; events a second."""
        return float(self.page.evaluate(f"() => window.bench.drag({seconds}, {EVENTS})"))

    def close(self) -> None:
        """Leave."""
        self.page.context.close()
