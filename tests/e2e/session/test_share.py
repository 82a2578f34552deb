"""A shared link opens what the page had: settings, question, tab and pane."""

import re
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import Visit
from tests.e2e.page_driver import new_context
from tests.e2e.server import Server
from tests.e2e.tuning import press, wait_rest


@pytest.mark.long
@pytest.mark.parametrize("width", [1440, 390])
def test_a_shared_link_opens_the_same_question_tab_and_pane(visit: Visit, width: int) -> None:
    question = "What is <b>2 + 2</b>? ${x}"
    studio = visit(width=width)
    page = studio.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    studio.wait_exact(80)
    page.locator("#pinned-choice").select_option("own")
    page.locator("#pinned-own").fill(question)
    page.locator("#pinned-own").press("Enter")
    page.locator('#views button[data-view="sparsity"]').click()
    studio.open_pane("score")
    press(studio, "share")
    page.get_by_text("Link copied").wait_for()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    other = visit(width=width, link=copied.partition("c=")[2])
    expect(other.page.locator('#panes [data-pane="score"]')).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(other.page.locator("#score-run")).to_be_visible()
    expect(other.page.locator('#views [data-view="sparsity"]')).to_have_attribute(
        "aria-pressed", "true"
    )
    other.open_pane("see")
    expect(other.page.locator("#pinned-own")).to_have_value(question)
    expect(other.page.locator("#pinned-choice")).to_have_value("own")
    expect(other.page.locator("#pinned b")).to_have_count(0)
    wait_rest(other)
    other.page.locator("#pinned-choice").select_option(index=1)
    asked = other.page.locator("#pinned-choice").input_value()
    other.reload()  # what was chosen since stays
    expect(other.page.locator("#pinned-choice")).to_have_value(asked)


@pytest.mark.parametrize(
    ("words", "page", "question"),
    [
        ("?q=What+is+2+%2B+2%3F&view=stage", "stage", "What is 2 + 2?"),
        pytest.param("?pane=score", "workbench", "", marks=pytest.mark.long),
        pytest.param("?q=", "stage", "", marks=pytest.mark.long),
    ],
)
def test_a_link_opens_where_its_words_can_be_seen(
    browser: Browser, server: Server, words: str, page: str, question: str
) -> None:
    context = new_context(browser)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab = context.new_page()
    tab.goto(f"{server.url}/{words}")
    expect(tab.locator("body")).to_have_attribute("data-page", page)
    if question:
        expect(tab.locator("#pinned-own")).to_have_value(question)
        expect(tab.locator("#pinned-own")).to_be_visible()
        tab.locator("#share").click()
        tab.get_by_text("Link copied").wait_for()
        copied = tab.evaluate("() => navigator.clipboard.readText()")
        assert parse_qs(urlparse(copied).query)["q"] == [question]
        assert parse_qs(urlparse(copied).query)["view"] == ["stage"]
        tab.locator("#page-open").click()
        assert parse_qs(urlparse(tab.url).query)["view"] == ["workbench"]
    elif words == "?q=":
        expect(tab.get_by_text("It says q= without a question.")).to_be_visible()
    context.close()


@pytest.mark.long
@pytest.mark.tab
def test_share_offers_the_line_that_embeds_what_is_shown(visit: Visit) -> None:
    studio = visit()
    page = studio.page
    studio.wait_exact(80)
    studio.set_rate(91)
    studio.wait_exact(91)
    press(studio, "share")
    choice, line = page.locator("#embed-figure"), page.locator("#embed-line")
    expect(choice).to_have_value("heatmap")
    choice.select_option("answer")
    expect(page.get_by_text("It works on this computer alone.")).to_be_visible()
    page.locator("#embed-wide").check()
    expect(line).to_have_value(re.compile("aspect-ratio:16/9"))
    source = re.search(r'<iframe src="([^"]+)"', line.input_value())
    assert source and "#figure=answer&amp;" in source[1]
    figure = page.context.new_page()
    figure.goto(source[1].replace("&amp;", "&"))
    rate = figure.locator('[data-drawn="answer"] [data-control="rate"] output')
    expect(rate).to_have_text("91\u202f%")
    figure.close()


@pytest.mark.long
def test_a_figure_of_the_address_stands_alone_and_fits_its_frame(
    browser: Browser, server: Server
) -> None:
    page = browser.new_page(viewport={"width": 640, "height": 360})
    for name in ("heatmap", "kept", "distribution", "answer", "strip"):
        page.goto(f"{server.url}/?figure={name}&rate=0.9&ground=transparent&__theme=dark")
        expect(page.locator('[data-control="rate"] output')).to_have_text("90\u202f%")
        figure = page.locator('body.dark[data-ground="transparent"] #figure')
        expect(figure).to_have_attribute("data-drawn", name)
        page.wait_for_function("""() => {
            const box = document.querySelector("#figure").getBoundingClientRect();
            return box.left >= -1 && box.top >= -1 && box.right <= innerWidth + 1
                && box.bottom <= innerHeight + 1;
        }""")
    page.close()


@pytest.mark.long
def test_what_no_figure_can_show_is_told_in_place_of_the_line(visit: Visit) -> None:
    studio = visit()
    studio.wait_exact(80)
    studio.page.locator("#method-choice").select_option("ties")
    press(studio, "share")
    expect(studio.page.get_by_text("These settings have no living figure")).to_be_visible()
    expect(studio.page.locator("#embed-line")).to_be_hidden()
    studio.page.locator("#embed-figure").focus()
    studio.page.keyboard.press("Escape")
    expect(studio.page.locator("#embed-figure")).to_be_hidden()
    expect(studio.page.locator("#share")).to_be_focused()
