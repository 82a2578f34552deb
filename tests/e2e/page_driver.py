"""Drives the page for tests: selectors, actions, and waiting for their effects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlparse

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request

LEFT = ("AbortError: signal is aborted", "Unexpected error Connection errored out")
READY_MS = 60_000
ACT_MS = 30_000
ANSWER_MS = 90_000
# Playwright's list, which ours replaces, and Chromium's search box: it loads two
# pages for every window, a third of the time to open ours.
SWITCHED_OFF = (
    "AvoidCorsURLLoaderRestartOnRedirect,AvoidUnnecessaryBeforeUnloadCheckSync,AimEnabled,"
    "DestroyProfileOnBrowserClose,HttpsFirstBalancedModeAutoEnable,HttpsUpgrades,LensOverlay,"
    "MediaRouter,NetworkTimeServiceQuerying,OptimizationHints,PaintHolding,PreconnectToSearch,"
    "ThirdPartyStoragePartitioning,"
    "WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup"
)
ARGUMENTS = (
    f"--disable-features={SWITCHED_OFF}",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass  # no slots: Playwright hangs its wrapper on the object whose method it calls
class Studio:
    """One visitor's tab, and the complaints its browser made."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    reusable: bool = True
    """Whether the next visitor may open the page in this tab."""
    kept_for: str = ""
    """The file and screen whose next test may go on with the page as it is."""
    opens: str = "workbench"
    """What the page opens with: stage or workbench."""

    @staticmethod
    def visit(
        context: BrowserContext,
        url: str,
        theme: str = "light",
        link: str = "",
        whole: bool = True,
        opens: str = "workbench",
    ) -> "Studio":
        """Open the page in a new tab, at settings behind `?c=`, and wait until it is drawn.

        Without `whole`: until the first plot.
        """
        studio = Studio(context.new_page(), url, opens=opens)
        studio.page.set_default_timeout(ACT_MS)
        studio.page.on("console", studio._on_console)
        studio.page.on("pageerror", lambda error: studio.complaints.append(f"error: {error}"))
        studio.page.on("request", studio._on_request)
        studio._open(theme, link, whole)
        return studio

    def become_new_visitor(
        self, width: int, height: int, theme: str, link: str, cookies: Sequence[Any] = ()
    ) -> None:
        """Open the page again in this tab, with nothing left of the visitor before but `cookies`.

        The scripts are compiled already: this takes under half the time of a new tab.
        """
        self.page.goto(f"{self.url}/healthz")  # the page's origin without its scripts
        self.page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        self.page.context.clear_cookies()
        self.page.context.add_cookies(list(cookies))
        self.page.context.clear_permissions()
        self.page.set_viewport_size({"width": width, "height": height})
        self.complaints.clear()
        self._open(theme, link)

    def _open(self, theme: str, link: str, whole: bool = True) -> None:
        settings = f"&c={link}" if link else ""
        self.page.goto(
            f"{self.url}/?__theme={theme}&view={self.opens}{settings}", wait_until="commit"
        )
        self.wait_drawn(whole)

    def reload(self, by: Callable[[], object] | None = None) -> None:
        """Reload the page from its address, as F5 does, or by an action that makes it do so.

        The old page's requests are aborted, which Gradio reports as errors.
        """
        before = len(self.complaints)
        if by:
            self.page.evaluate("window.left = true")
            by()
            self.page.wait_for_function("() => !window.left")
        else:
            self.page.reload(wait_until="commit")
        self.wait_drawn()
        new = self.complaints[before:]
        self.complaints[before:] = [one for one in new if not any(end in one for end in LEFT)]

    def wait_drawn(self, whole: bool = True) -> None:
        """Wait for the first plot, and for what is loaded after it."""
        self.page.locator('#plots[data-ready="true"]').wait_for(state="attached", timeout=READY_MS)
        if whole:
            self.page.wait_for_function("() => window.dppa.talk.recall")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text} ({message.location.get('url')})")

    def _on_request(self, request: Request) -> None:
        address = urlparse(request.url)
        if address.scheme in ("http", "https", "ws", "wss"):
            if address.netloc != urlparse(self.url).netloc:
                self.complaints.append(f"another host: {request.url}")

    # what is on the page

    @property
    def host(self) -> Locator:
        """The element that carries what is drawn: rate, sequence, exact."""
        return self.page.locator("#plots[data-plots], #plots [data-plots]").first

    @property
    def rate(self) -> Locator:
        return self.page.locator("#rate input[type=range]")

    @property
    def status(self) -> Locator:
        return self.page.locator("#status [data-status], #status[data-status]").first

    @property
    def recipe(self) -> str:
        """The 12 hex digits of the recipe that the page now describes."""
        return self.status.get_attribute("data-recipe") or ""

    def drawn(self, name: str) -> str:
        """An attribute of the last draw: `rate`, `sequence`, `exact`, `focus`, `quantity`."""
        return self.host.get_attribute(f"data-{name}") or ""

    def cells(self) -> dict[tuple[int, str], float]:
        """(layer, kind) -> number shown in the heatmap."""
        rows = self.page.eval_on_selector_all(
            "#heatmap g.cell", "cells => cells.map(c => ({...c.dataset}))"
        )
        return {(int(r["layer"]), r["kind"]): float(r["value"]) for r in rows}

    def bands(self) -> dict[tuple[int, int], float]:
        """(layer, partition) -> percent kept in the plot of kept shares."""
        rows = self.page.eval_on_selector_all(
            "#kept rect.band", "bands => bands.map(b => ({...b.dataset}))"
        )
        return {(int(r["layer"]), int(r["partition"])): float(r["value"]) for r in rows}

    def exact(self, name: str) -> str:
        """What the server's exact plan says: `rate`, `recipe` or `kept`."""
        holder = self.page.locator(f"#exact[data-{name}], #exact [data-{name}]").first
        return holder.get_attribute(f"data-{name}") or ""

    # what it does

    def wait_exact(self, rate: int | None = None) -> None:
        """Wait until the server's exact plan is drawn (for `rate` percent)."""
        self.page.wait_for_function(
            """rate => {  // null: whatever the rate is
                const all = document.querySelectorAll('#plots[data-plots], #plots [data-plots]');
                const drawn = all[0]?.dataset;
                return drawn?.exact === 'true' && (rate == null || +drawn.rate === rate);
            }""",
            arg=rate,
        )

    def wait_frame(self) -> None:
        """Wait until current settings are drawn."""
        self.page.evaluate(
            "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )

    def wait_models(self) -> None:
        """Wait until the preset's merge is in memory."""
        self.page.locator(
            '#status [data-models="ready"], #status[data-models="ready"]'
        ).first.wait_for(state="attached", timeout=READY_MS)

    def watch_paints(self) -> None:
        """Remember every draw from now on (`paints()` gives them back)."""
        self.page.evaluate(
            "() => { window.seenPaints = [];"
            " window.addEventListener('dppa:paint', e => window.seenPaints.push(e.detail)); }"
        )

    def paints(self) -> list[dict[str, float]]:
        """The draws since `watch_paints()`: rate, sequence, exact, input."""
        return self.page.evaluate("() => window.seenPaints")

    def drag_rate(self, target: float, steps: int = 30) -> None:
        """Drag the pruning slider with the mouse to about `target` percent."""
        slider = self.rate
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        if box is None:
            raise AssertionError("the pruning slider is not on the screen")
        low, high = (float(slider.get_attribute(n) or 0) for n in ("min", "max"))
        now = (float(slider.input_value()) - low) / (high - low)
        thumb = 16.0  # the thumb's centre travels the track less its own width
        place = lambda share: box["x"] + thumb / 2 + share * (box["width"] - thumb)  # noqa: E731
        middle = box["y"] + box["height"] / 2
        self.page.mouse.move(place(now), middle)
        self.page.mouse.down()
        self.page.mouse.move(place((target - low) / (high - low)), middle, steps=steps)
        self.page.mouse.up()

    def set_rate(self, percent: int) -> None:
        """Set the pruning rate as a keyboard would leave it, and wait for the exact plan."""
        self.set_range(self.rate, percent)
        self.wait_exact(percent)

    def choose(self, name: str, value: str) -> None:
        """Choose what the plots show (`quantity` or `focus`), and wait until they do."""
        self.page.locator(f"select#{name}").select_option(value)
        self.page.locator(f'#plots [data-{name}="{value}"]').first.wait_for(state="attached")

    def set_range(self, slider: Locator, value: float) -> None:
        """Give a range input a value and the events a move makes."""
        slider.evaluate(
            """(element, value) => {
                const input = HTMLInputElement.prototype;
                const property = Object.getOwnPropertyDescriptor(input, 'value');
                property.set.call(element, String(value));
                element.dispatchEvent(new Event('input', {bubbles: true}));
                element.dispatchEvent(new Event('change', {bubbles: true}));
            }""",
            value,
        )

    def open_pane(self, name: str) -> None:
        """Bring `see`, `chat` or `score` to the front, where panes are switched."""
        button = self.page.locator(f'#panes button[data-pane="{name}"]')
        if button.count() and button.first.is_visible():
            button.first.click()

    def use_models(self, models: str, base: str = "") -> None:
        """Type models of one's own, and press the button."""
        self.unfold("own-models", "#use-models")
        for name, text in (("reference", models), ("own-base", base)):
            field = self.page.locator(f"#{name} input").first
            field.fill(text)
            field.press("Tab")
        self.page.locator("#use-models").click()

    def open_advanced(self) -> None:
        """Open the Advanced part."""
        self.unfold("advanced", "#strength")

    def unfold(self, accordion: str, inside: str) -> None:
        """Open an accordion, and wait until `inside` is there and stays as it is set.

        Gradio sends the first values of an accordion's content again in the frame after it
        was opened: a test would set something before that.
        """
        if not self.page.locator(inside).is_visible():
            self.page.locator(f"#{accordion} button").first.click()
            self.page.locator(inside).wait_for()
            self.wait_frame()

    def ask(self, prompt: str) -> None:
        """Send a prompt; do not wait for the answer."""
        self.open_pane("chat")
        self.page.locator("#prompt textarea").fill(prompt)
        self.page.locator("#send").click()

    def answer(self, target: str = "merged") -> Locator:
        """The newest answer of `target`."""
        turn = self.page.locator("#transcript .turn").last
        return turn.locator(f'.answer[data-target="{target}"]')

    def wait_answer(self, target: str = "merged", *states: str) -> Locator:
        """Wait until the newest answer of `target` is in one of `states` (default: done)."""
        wanted = states or ("done",)
        choice = ", ".join(f'.answer[data-target="{target}"][data-state="{s}"]' for s in wanted)
        found = self.page.locator("#transcript .turn").last.locator(choice)
        found.wait_for(timeout=ANSWER_MS)
        return found


def new_context(browser: Browser, width: int = 1440, height: int = 900) -> BrowserContext:
    """A visitor of their own: no cookies, no storage, a screen of this size."""
    return browser.new_context(
        viewport={"width": width, "height": height}, reduced_motion="reduce", locale="en-US"
    )
