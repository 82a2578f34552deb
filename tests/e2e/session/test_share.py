"""A shared link opens what the page had: settings, question, tab and pane."""

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.tuning import press, wait_rest


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
    other = visit(width=width, link=copied.split("?c=")[1])
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


@pytest.mark.long
def test_a_question_too_long_for_a_link_is_left_out_and_told(visit: Visit) -> None:
    studio = visit()
    studio.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    studio.page.locator("#pinned-choice").select_option("own")
    studio.page.locator("#pinned-own").fill("x" * 1001)
    studio.page.locator("#pinned-own").press("Enter")
    press(studio, "share")
    studio.page.get_by_text("Link copied, without the question").wait_for()
    assert "ask=" not in studio.page.evaluate("() => navigator.clipboard.readText()")
