"""The stage: what `/` opens with. One merge, four controls, one number, one question."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from components.views.see.verdict import WHEN_TO_PRUNE, asked_questions, shown_merges
from tests.e2e.page_driver import ANSWER_MS, Studio, new_context
from tests.e2e.server import Server

WORDS = """() => {
    const words = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text; (text = texts.nextNode());) {
        const parent = text.parentElement, range = document.createRange();
        range.selectNodeContents(text);
        const box = range.getBoundingClientRect();
        const unread = parent.closest('script, style, option, svg, .sr, #skip');
        const inside = box.width > 1 && box.bottom > 0 && box.top < innerHeight;
        if (unread || !parent.checkVisibility() || !inside) continue;
        words.push(...text.textContent.trim().split(/\\s+/).filter(Boolean));
    }
    return words.length;
}"""
CONTROLS = """() => [...document.querySelectorAll('button, input, select, textarea, a, summary')]
    .filter((one) => {
        const box = one.getBoundingClientRect();
        const usable = !one.disabled && one.tabIndex >= 0 && !one.closest('#skip');
        return one.checkVisibility() && usable && box.width > 1 && box.top < innerHeight
            && box.bottom > 0;
    }).length"""
SIZES = """() => {
    const sizes = new Set();
    for (const one of document.querySelectorAll('body *')) {
        const isText = (node) => node.nodeType === 3 && node.textContent.trim();
        if ([...one.childNodes].some(isText) && one.checkVisibility() && !one.closest('.sr, svg'))
            sizes.add(getComputedStyle(one).fontSize);
    }
    return [...sizes];
}"""
IN_SIGHT = """(selectors) => selectors.filter((selector) => {
    const box = document.querySelector(selector).getBoundingClientRect();
    return box.top < 0 || box.bottom > innerHeight || box.left < 0 || box.right > innerWidth + 1;
})"""
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def stage(server: Server, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Studio]:
    """The page as a newcomer opens it, at the size and theme of the case."""
    width, height, theme = getattr(request, "param", (1440, 900, "light"))
    context = new_context(browser, width, height)
    studio = Studio.visit(context, server.url, theme, opens="")
    studio.wait_exact(80)
    studio.wait_models()
    yield studio
    complaints = list(studio.complaints)
    context.close()
    assert not complaints


def kept(studio: Studio) -> str:
    return studio.page.locator(".kept-number").inner_text()


SCREENS = [
    (1440, 900, "light"),
    (1366, 768, "dark"),
    (1280, 720, "light"),
    (1100, 800, "dark"),
    (720, 450, "light"),
    (390, 844, "dark"),
]


@pytest.mark.parametrize("stage", SCREENS, indirect=True, ids=str)
def test_first_action_number_and_answer_are_in_sight_and_nothing_sticks_out(stage: Studio) -> None:
    assert stage.page.evaluate("document.body.dataset.page") == "stage"
    expect(stage.page.locator("#pinned-text")).to_have_text("The tone is positive.")
    assert stage.page.evaluate(IN_SIGHT, ["#rate input[type=range]", "#pinned-text"]) == []
    if stage.page.viewport_size["height"] > 700:  # type: ignore[index]
        assert stage.page.evaluate(IN_SIGHT, [".kept-number", "#script"]) == []
    assert stage.page.evaluate(SIDEWAYS) <= 0
    expect(stage.page.locator(".when")).to_have_text(WHEN_TO_PRUNE)


def test_it_has_few_words_controls_and_sizes_of_type(stage: Studio) -> None:
    stage.page.locator("#pinned button.word").first.wait_for()  # once there is an answer
    assert stage.page.evaluate(WORDS) <= 250
    assert stage.page.evaluate(CONTROLS) <= 25
    assert len(stage.page.evaluate(SIZES)) <= 5
    header = stage.page.locator("#head").bounding_box()
    assert header and header["height"] <= 64


@pytest.mark.tab
def test_its_three_steps_do_what_they_say(stage: Studio) -> None:
    """It breaks at 95 %, DPPA mends it, whole is better; no number is that of another merge."""
    at_95 = {merge["name"]: merge for merge in shown_merges() if merge["rate"] == 0.95}
    text, mark = stage.page.locator("#pinned-text"), stage.page.locator("#pinned .right-mark")
    stage.set_rate(95)
    expect(mark).to_have_text("✗ wrong", timeout=ANSWER_MS)
    assert int(kept(stage).split()[0].rstrip("\u202f%")) < 50
    stage.page.locator("#undo").wait_for()  # the step of the rate has ended
    stage.page.locator("#method select").first.select_option("ties")  # the server answers
    expect(mark).to_have_text("✓ right", timeout=ANSWER_MS)
    stage.page.locator("#undo").click()
    expect(mark).to_have_text("✗ wrong", timeout=ANSWER_MS)
    for name in ("DPPA searched", "whole"):
        share = f"{100 * at_95[name]['kept']:.0f}"
        stage.page.get_by_role("button", name=f"{name} {share}").click()
        expect(stage.page.locator(".kept-number")).to_have_text(f"{share}\u202f%")
        expect(text).to_have_text("The tone is positive.", timeout=ANSWER_MS)
        expect(mark).to_have_text("✓ right")
    stage.page.locator("#undo").click()
    expect(stage.page.locator(".kept-number")).to_have_text("83\u202f%")


@pytest.mark.long
@pytest.mark.tab
def test_what_no_one_measured_the_tab_measures_on_search_questions(stage: Studio) -> None:
    line = stage.page.locator(".kept-figure")
    count = len(asked_questions()["items"])
    stage.set_rate(91)
    expect(line).to_contain_text("measuring")
    expect(stage.page.locator(".kept-number")).to_have_text("…")
    expect(line).to_contain_text(f"on {count} search questions, in this tab", timeout=ANSWER_MS)
    expect(stage.page.locator(".kept-number")).to_have_text(re.compile(r"^\d+\u202f%$"))


def test_each_station_opens_what_it_shows_and_the_choice_is_remembered(stage: Studio) -> None:
    page = stage.page
    page.get_by_role("button", name="add", exact=True).click()
    assert page.evaluate("document.body.dataset.page") == "workbench"
    expect(page.locator('#views [data-view="compare"]')).to_have_attribute("aria-pressed", "true")
    page.reload()
    stage.wait_drawn()
    assert page.evaluate("document.body.dataset.page") == "workbench"
    page.locator("#page-open").click()
    assert page.evaluate("document.body.dataset.page") == "stage"
    assert page.evaluate("document.body.dataset.view") == "modules"


LINKS = {
    "q=How+many+legs+have+3+dogs%3F": "#pinned-text",
    "figure=answer": "#figure[data-drawn]",
    "learn=delta&class=delta.workbench": ".lesson h1, .lesson h2",
}


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("screen", SCREENS, ids=str)
def test_a_link_fits_every_screen_and_is_left_by_the_tab_key(
    server: Server, browser: Browser, screen: tuple[int, int, str], link: str
) -> None:
    width, height, theme = screen
    context = new_context(browser, width, height)
    page = context.new_page()
    page.goto(f"{server.url}/?__theme={theme}&{link}")
    expect(page.locator(LINKS[link]).first).to_be_visible(timeout=ANSWER_MS)
    assert page.evaluate(SIDEWAYS) <= 0
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement !== document.body")
    context.close()


WAY = [(1440, 900, "light"), (390, 844, "dark")]
NEXT_FACTOR = "#amplify .factor-row input[type=range] >> nth=1"


def act(studio: Studio, number: int) -> None:
    """What a station of the guided way waits for; the others wait for nothing."""
    page = studio.page
    match number:
        case 2:
            studio.set_range(studio.rate, 95)
        case 4:
            page.locator("#focus").select_option("zoo:law")
        case 5:
            studio.set_range(page.locator(NEXT_FACTOR), 3)
        case 6 | 7:
            button = page.get_by_role(
                "button", name="DPPA searched 83" if number == 6 else "whole 97"
            )
            button.focus()
            page.keyboard.press("Enter")
        case 8:
            studio.set_range(page.locator("#models input[type=range]").first, 0)


@pytest.mark.parametrize("stage", WAY, indirect=True, ids=str)
def test_the_guided_way_is_walked_left_and_resumed_by_keys(stage: Studio) -> None:
    page, way = stage.page, stage.page.locator(".guide")
    page.locator("#guide-open").focus()
    page.keyboard.press("Enter")
    for number in range(1, 9):
        expect(way.locator("h2")).to_contain_text(f"{number} of 8")
        expect(way.locator(".guide-next")).to_be_hidden()
        way.locator(".guide-options button").first.focus()
        page.keyboard.press("Enter")
        act(stage, number)
        expect(way.locator(".guide-next")).to_be_visible(timeout=ANSWER_MS)
        expect(way.locator(".guide-then")).not_to_be_empty()
        way.locator(".guide-next").focus()
        page.keyboard.press("Enter")
        if number == 3:
            page.keyboard.press("Escape")
            expect(way).to_have_count(0)
            page.locator("#guide-open").click()
    expect(way).to_contain_text("That is DPPA")
