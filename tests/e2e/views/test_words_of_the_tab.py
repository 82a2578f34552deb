"""The pinned answer is written by the tab, and by the server wherever the tab cannot."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from components.session.presets import first_session
from components.views.see.see import exact_payload
from components.work.studio import Studio as Workshop
from tests.e2e.conftest import Visit
from tests.e2e.page_driver import ANSWER_MS, Studio
from tests.e2e.views.test_models import MATH as TUTOR
from tests.e2e.views.test_overrides import DOWN
from tests.e2e.views.test_pinned import MATH, settled, text

pytestmark = pytest.mark.tab

WATCH = """() => {
    window.lost = 0;
    const text = document.querySelector('#pinned-text');
    (function look() {
        if (!text.textContent) window.lost += 1;
        requestAnimationFrame(look);
    })();
}"""
"""Count the frames without an answer."""
TWO_FRAMES = "() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))"


def written(studio: Studio, source: str) -> None:
    """Wait for the answer of the current merge by the tab or by the server."""
    studio.page.evaluate(TWO_FRAMES)  # until then what stands there is of the merge before
    state = f'[data-living="answer"][data-state="whole"][data-source="{source}"]'
    studio.page.locator(f"#pinned {state}").wait_for(timeout=ANSWER_MS)


def ready(studio: Studio) -> None:
    """Open the page and make the tab write."""
    settled(studio)
    studio.set_rate(81)
    written(studio, "tab")


def cut(studio: Studio) -> None:
    """Leave everything unanswered from now on, as a server does that is gone."""
    studio.page.route("**/gradio_api/**", lambda route: None)
    studio.reusable = False


@pytest.mark.parametrize("width", [1440, 390])
def test_words_follow_the_thumb_without_a_server(visit: Visit, width: int) -> None:
    studio = visit(width=width)
    settled(studio)
    page, sign = studio.page, studio.page.locator("#pinned .source")
    expect(sign).to_have_text("by the server")
    assert page.locator("#pinned-text").get_attribute("data-source") == "server"
    ready(studio)
    expect(sign).to_have_text("by the tab")
    cut(studio)
    page.evaluate(WATCH)
    texts = set()
    for rate in (90, 96, 80):
        studio.set_range(studio.rate, rate)
        written(studio, "tab")
        texts.add(text(studio))
    studio.drag_rate(99)
    written(studio, "tab")
    assert MATH.answer in texts and len(texts | {text(studio)}) == 3
    expect(page.locator("#pinned .right-mark")).to_have_text("✗ wrong")
    assert page.evaluate("lost") == 0
    for choice in ("own", MATH.prompt):  # no question, then the same as before
        studio.page.locator("#pinned-choice").select_option(choice)
    written(studio, "tab")


@pytest.mark.long
def test_a_thumb_that_slows_down_is_no_rest_while_the_tab_makes_the_plans(studio: Studio) -> None:
    ready(studio)
    asked: list[str] = []
    studio.page.on("request", lambda request: asked.append(request.post_data or ""))
    for rate in range(82, 94):
        studio.set_range(studio.rate, rate)
        studio.page.wait_for_timeout(120)
    studio.wait_exact(93)
    studio.page.wait_for_timeout(600)
    assert 1 <= sum('"base\\":' in body for body in asked) <= 3


def test_base_and_domain_models_answer_beside_the_merge(studio: Studio) -> None:
    ready(studio)
    cells = studio.page.locator("#pinned .others li")
    expect(cells).to_have_count(4)
    right = studio.page.locator('.others li[data-model="zoo:math"] .other-mark')
    expect(right).to_have_text("✓", timeout=ANSWER_MS)
    expect(cells.first.locator(".other-mark")).to_have_text("✗")
    assert cells.nth(1).locator(".said").inner_text() == MATH.answer
    studio.page.evaluate(
        "() => dppa.set({models: dppa.state.models.map((m, i) => ({...m, on: i !== 1}))})"
    )
    expect(cells).to_have_count(3)


def test_nothing_is_fetched_before_somebody_touches_a_control(visit: Visit) -> None:
    studio = visit()
    fetched: list[str] = []
    studio.page.on("request", lambda request: fetched.append(request.url))
    studio.reload()
    settled(studio)
    studio.page.mouse.wheel(0, 300)
    studio.page.wait_for_timeout(500)
    assert not [url for url in fetched if "/tab/" in url and not url.endswith(".js")]


def lose(page: Page, pattern: str) -> None:
    """Answer requests with 404."""

    def refuse(route: Route) -> None:
        route.fulfill(status=404, body="")

    page.route(re.compile(pattern), refuse)


BLOCKED: dict[str, Callable[[Page], object]] = {
    "worker": lambda page: lose(page, r"/tab/worker\.js"),
    "weights": lambda page: lose(page, r"/tab/.*\.gz"),
    "loops": lambda page: lose(page, r"/tab/tab\.wasm"),
    "vectors": lambda page: page.add_init_script("WebAssembly.validate = () => false"),
    "saving data": lambda page: page.add_init_script(
        "Object.defineProperty(navigator, 'connection', {value: {saveData: true}})"
    ),
}


@pytest.mark.parametrize("what", BLOCKED)
def test_without_the_tab_the_server_writes_and_no_text_is_lost(visit: Visit, what: str) -> None:
    studio = visit()
    settled(studio)
    studio.reusable = False
    BLOCKED[what](studio.page)
    studio.reload()
    settled(studio)
    studio.page.evaluate(WATCH)
    for rate in (81, 99):
        studio.set_rate(rate)
        written(studio, "server")
    expect(studio.page.locator("#pinned .right-mark")).to_have_text("✗ wrong")
    expect(studio.page.locator("#pinned .source")).to_have_text("by the server")
    assert studio.page.evaluate("lost") == 0
    studio.complaints[:] = [one for one in studio.complaints if "404" not in one]


def test_the_tab_merges_by_the_server_s_counts_and_without_them_the_server_writes(
    studio: Studio,
) -> None:
    ready(studio)
    page = studio.page
    page.evaluate(WATCH)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url + (request.post_data or "")))
    page.evaluate("name => dppa.override(name, 0.25)", DOWN)
    written(studio, "tab")
    studio.drag_rate(95)
    written(studio, "tab")
    assert sum("/tab/counts" in request for request in asked) > 1
    assert not [request for request in asked if MATH.prompt in request], "the server wrote words"
    studio.reusable = False
    lose(page, "/tab/counts")
    studio.set_rate(40)  # its counts are not known yet
    written(studio, "server")
    assert any(MATH.prompt in request for request in asked)
    assert page.evaluate("lost") == 0
    studio.complaints[:] = [one for one in studio.complaints if "404" not in one]


@pytest.mark.long
def test_a_method_that_the_tab_does_not_know_is_the_server_s(studio: Studio) -> None:
    ready(studio)
    studio.page.evaluate(WATCH)
    for method, source in (("ties", "server"), ("magnitude", "tab"), ("dare", "tab")):
        studio.page.evaluate("method => dppa.set({method})", method)
        written(studio, source)
        expect(studio.page.locator("#pinned .source")).to_have_text(f"by the {source}")
    assert studio.page.evaluate("lost") == 0


@pytest.mark.long
def test_the_curve_of_the_tab_has_the_server_s_points_and_follows_sliders(studio: Studio) -> None:
    titles = "all => all.map(dot => dot.textContent)"
    page = studio.page

    def points() -> list[str]:
        page.locator(".breaks summary").click()
        page.locator('.breaks[data-done="true"]').wait_for(timeout=ANSWER_MS)
        found = page.locator(".breaks-dot title").evaluate_all(titles)
        page.locator(".breaks summary").click()
        return found

    settled(studio)
    of_server = points()
    ready(studio)
    studio.set_rate(80)
    written(studio, "tab")
    cut(studio)
    assert points() == of_server
    page.locator(".breaks summary").click()
    line = page.locator(".breaks-line")
    before = line.get_attribute("points")
    page.evaluate("() => dppa.move('strength', 0.3)")
    expect(line).not_to_have_attribute("points", before or "", timeout=ANSWER_MS)
    page.locator('.breaks[data-done="true"]').wait_for(timeout=ANSWER_MS)
    page.locator("#pinned-text button").first.click()
    expect(page.locator(".next-model")).to_have_count(5)


WATCH_WISHES = """() => {
    window.wishes = 0;
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (...message) {
        window.wishes += 1;
        post.apply(this, message);
    };
    window.hide = (value) =>
        Object.defineProperty(document, "hidden", { value, configurable: true });
}"""


@pytest.mark.long
def test_nothing_runs_while_nothing_changes_or_the_tab_is_hidden(studio: Studio) -> None:
    ready(studio)
    page, done = studio.page, studio.page.locator('.breaks[data-done="true"]')
    studio.reusable = False
    expect(page.locator('#pinned .others li[data-state="whole"]')).to_have_count(4)
    page.evaluate(WATCH_WISHES)
    page.wait_for_timeout(1000)
    assert page.evaluate("wishes") == 0
    page.locator(".breaks summary").click()
    page.wait_for_function("() => wishes > 1")
    page.evaluate("() => hide(true)")
    page.wait_for_timeout(300)
    wished = page.evaluate("wishes")
    page.wait_for_timeout(500)
    assert page.evaluate("wishes") == wished and not done.count()
    page.evaluate("() => { hide(false); dppa.set({}); }")
    done.wait_for()
    assert page.locator(".breaks-dot").count() > 10


@pytest.mark.long
def test_a_model_of_one_s_own_is_the_server_s(studio: Studio, tmp_path: Path) -> None:
    ready(studio)
    studio.page.evaluate(WATCH)
    studio.use_models(str(shutil.copytree(TUTOR, tmp_path / "tutor")))
    written(studio, "server")
    assert studio.page.evaluate("lost") == 0


@pytest.mark.long
def test_at_rest_the_server_names_the_recipe_and_the_tab_keeps_its_plans(studio: Studio) -> None:
    ready(studio)
    asked: list[str] = []
    studio.page.on("request", lambda request: asked.append(request.post_data or ""))
    studio.set_range(studio.rate, 83)
    value = exact_payload(replace(first_session(), rate=0.83), Workshop(public=False))
    line = studio.page.locator("[data-kept]")
    expect(line).to_have_attribute("data-kept", f"{100 * value['share']:.4f}")
    assert any('{\\"planned\\":true}' in body for body in asked)
