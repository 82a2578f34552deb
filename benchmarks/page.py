"""The page in a browser: start-up, slider to paint, send to first token.

Starts the app as a person does; drives the page with the helper of the browser tests.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright

from benchmarks.measure import Measurement
from tests.e2e.chromium import HELP, find_chromium
from tests.e2e.page_driver import ANSWER_MS, ARGUMENTS, Studio, new_context
from tests.e2e.server import Server

GROUP = "Page, in {version}"
MOVES = 60
PAUSE_MS = 120
QUESTIONS = 5

# From the input event's own time stamp to the start of the frame after the one that drew it.
RECORD_PAINTS = """() => {
    window.toPaint = [];
    window.addEventListener('dppa:paint', ({detail}) => {
        if (detail.input === null || detail.input === undefined) return;
        requestAnimationFrame(() => window.toPaint.push(performance.now() - detail.input));
    });
}"""
# From the click on Send to the first letter of the merged model's answer.
RECORD_TOKEN = """() => {
    window.toToken = null;
    let clicked = null;
    const known = document.querySelectorAll('#transcript .turn').length;
    const send = document.querySelector('#send');
    send.addEventListener('click', e => { clicked = e.timeStamp; }, {once: true, capture: true});
    const watch = new MutationObserver(() => {
        const turns = document.querySelectorAll('#transcript .turn');
        const answer = turns[turns.length - 1]?.querySelector('.answer[data-target="merged"]');
        const text = answer?.querySelector('.answer-text')?.textContent.trim();
        if (turns.length > known && answer.dataset.state !== 'waiting' && text) {
            watch.disconnect();
            window.toToken = performance.now() - clicked;
        }
    });
    const options = {subtree: true, childList: true, attributes: true, characterData: true};
    watch.observe(document.querySelector('#transcript'), options);
}"""
# From the last input event of a move to the server's exact plan on the screen.
RECORD_EXACT = """() => {
    window.toExact = [];
    let last = null;
    window.addEventListener('dppa:paint', ({detail}) => {
        if (detail.input !== null && detail.input !== undefined) last = detail.input;
        if (detail.exact && last !== null) {
            window.toExact.push(performance.now() - last);
            last = null;
        }
    });
}"""

STAGE = "stage"
"""What a visitor opens."""


def measurements() -> Iterator[Measurement]:
    """Yield each measurement of the page when it is done."""
    program = find_chromium()
    if program is None:
        raise SystemExit(HELP)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        group = GROUP.format(version=f"Chromium {browser.version.split('.')[0]}")
        begin = time.perf_counter()
        server = Server.start(Path(folder) / "app.log")
        try:
            yield from startup(group, browser, server, begin)
            for delay in (0, 80):
                yield from _sliders(group, browser, server, delay)
            for delay in (0, 80):
                yield first_token(group, browser, server, delay)
        finally:
            server.stop()
            browser.close()


def startup(group: str, browser: Browser, server: Server, begin: float) -> Iterator[Measurement]:
    """Times since the app started at `begin`, a value of `time.perf_counter`."""
    answered = 1000 * (time.perf_counter() - begin)
    yield Measurement(group, "start of the app to its first answer", (answered,))
    studio = Studio.visit(new_context(browser), server.url, whole=False, opens=STAGE)
    drawn = 1000 * (time.perf_counter() - begin)
    script = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
    paint = studio.page.evaluate(script)
    zero = studio.page.evaluate("() => Date.now() - performance.now()")
    started = 1000 * (time.time() - time.perf_counter() + begin)
    yield Measurement(group, "start of the app to first paint", (zero + paint - started,))
    yield Measurement(group, "start of the app to first plot", (drawn,))
    studio.wait_models()
    ready = 1000 * (time.perf_counter() - begin)
    yield Measurement(group, "start of the app to the preset merged", (ready,))
    studio.page.context.close()
    again = []
    for _ in range(3):
        start = time.perf_counter()
        studio = Studio.visit(new_context(browser), server.url, whole=False, opens=STAGE)
        again.append(1000 * (time.perf_counter() - start))
        studio.page.context.close()
    yield Measurement(group, "new visitor to first plot", tuple(again), "empty browser cache")


def visit(browser: Browser, server: Server, delay: int, opens: str = STAGE) -> Studio:
    """A new visitor whose network answers after `delay` milliseconds."""
    studio = Studio.visit(new_context(browser), server.url, opens=opens)
    studio.wait_models()
    studio.wait_exact()
    if delay:
        devtools = studio.page.context.new_cdp_session(studio.page)
        network = {"latency": delay, "downloadThroughput": -1, "uploadThroughput": -1}
        devtools.send("Network.emulateNetworkConditions", network | {"offline": False})
    return studio


def _sliders(group: str, browser: Browser, server: Server, delay: int) -> Iterator[Measurement]:
    studio = visit(browser, server, delay)
    page = studio.page
    page.evaluate(RECORD_PAINTS)
    studio.rate.focus()
    for move in range(MOVES):
        page.keyboard.press("ArrowLeft" if move % 60 < 30 else "ArrowRight")
        page.wait_for_timeout(PAUSE_MS)
    times = tuple(page.evaluate("() => window.toPaint"))
    yield Measurement(group, f"slider to paint, single moves, {delay} ms round trip", times)

    page.evaluate("() => { window.toPaint.length = 0; }")
    studio.drag_rate(30, steps=60)
    studio.drag_rate(85, steps=60)
    page.wait_for_timeout(500)
    times = tuple(page.evaluate("() => window.toPaint"))
    yield Measurement(group, f"slider to paint, dragging, {delay} ms round trip", times)

    studio.wait_exact()
    page.evaluate(RECORD_EXACT)
    for move in range(8):
        studio.rate.focus()
        page.keyboard.press("ArrowLeft" if move % 2 else "ArrowRight")
        page.wait_for_timeout(800)
    times = tuple(page.evaluate("() => window.toExact"))
    yield Measurement(group, f"slider at rest to exact plan, {delay} ms round trip", times)
    page.context.close()


def first_token(group: str, browser: Browser, server: Server, delay: int) -> Measurement:
    """From the click on Send to the first letter of an answer."""
    studio = visit(browser, server, delay, "workbench")
    studio.open_pane("chat")
    example = studio.page.locator('#examples button.example[data-domain="math"]').first
    times = []
    for _ in range(QUESTIONS):
        example.click()
        studio.page.wait_for_function("() => document.querySelector('#prompt textarea').value")
        studio.page.evaluate(RECORD_TOKEN)
        studio.page.locator("#send").click()
        studio.page.wait_for_function("() => window.toToken !== null", timeout=ANSWER_MS)
        times.append(studio.page.evaluate("() => window.toToken"))
        studio.wait_answer("merged", "done", "stopped", "failed")
        idle = studio.page.locator('#status [data-activity="idle"], #status[data-activity="idle"]')
        idle.first.wait_for(state="attached")
    studio.page.context.close()
    return Measurement(group, f"send to first token, {delay} ms round trip", tuple(times))
