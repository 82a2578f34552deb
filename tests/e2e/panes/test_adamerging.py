"""AdaMerging in the pane Search: watched, taken over, and refused for methods without a sum."""

import json

import pytest
from playwright.sync_api import Page, expect

from components.session.presets import first_session
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.tuning.adamerging.settings import with_coefficients
from tests.e2e.conftest import Visit
from tests.e2e.page_driver import ANSWER_MS

NO_WIDER = """svg => svg.getBoundingClientRect().right <= document.documentElement.clientWidth
    && [...svg.querySelectorAll('text')].every(text => {
        const box = text.getBoundingClientRect(), whole = svg.getBoundingClientRect();
        return box.left >= whole.left - 1 && box.right <= whole.right + 1;
    })"""


def wait_state(page: Page, state: str) -> None:
    run = page.locator(f'#search [data-search-state="{state}"]')
    run.wait_for(state="attached", timeout=ANSWER_MS)


@pytest.mark.parametrize(
    ("width", "height"), [(1440, 900), pytest.param(390, 844, marks=pytest.mark.long)]
)
def test_coefficients_are_found_and_taken_over(visit: Visit, width: int, height: int) -> None:
    studio = visit(width, height)
    page = studio.page
    studio.wait_models()
    if width > 900:
        page.locator("#method-choice").select_option("ties")
    studio.open_pane("search")
    expect(page.locator("#search-steps")).to_be_hidden()
    page.locator('#search-way input[value="adamerging"]').check()
    studio.set_range(page.locator("#search-steps input[type=range]"), 10)
    studio.set_range(page.locator("#search-limit input[type=range]"), 8)
    if width > 900:
        page.locator("#search-run").click()
        wait_state(page, "failed")
        expect(page.locator("#search .standing")).to_contain_text("ties combines deltas in another")
        page.locator("#method-choice").select_option("dppa")
    page.locator("#search-run").click()
    marks = page.locator("#search-plot g.trial")
    marks.first.wait_for(state="attached", timeout=ANSWER_MS)
    expect(page.locator("#search .standing")).to_contain_text("of the held-out answers were right")
    wait_state(page, "done")

    steps = [int(mark.get_attribute("data-number") or "") for mark in marks.all()]
    assert steps == list(range(len(steps))) and len(steps) > 3
    expect(page.locator("#search .plot-title")).to_contain_text("held-out answers right at math ×")
    standing = page.locator("#search .standing")
    expect(standing).to_contain_text(f"{steps[-1]} steps.")
    collapsed = page.locator("#search-plot g.collapsed").count()
    assert ("It collapsed at step" in (standing.text_content() or "")) == (collapsed > 0)
    plot = page.locator("#search-plot")
    plot.scroll_into_view_if_needed()
    assert plot.evaluate(NO_WIDER)

    last = marks.last
    rows = json.loads(last.get_attribute("data-coefficients") or "")
    merge = with_coefficients(first_session().recipe(), rows)
    last.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#search .said")).to_contain_text("Taken over: math ×")
    status = page.locator(f'[data-status][data-recipe="{recipe_hash(merge)}"]')
    status.first.wait_for(state="attached")
