"""Forms that keep a delta: a rank moves plots and the answer; a click in Size sets a form."""

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.conftest import Visit
from tests.e2e.page_driver import ANSWER_MS, Studio

WIDTHS = [1440, pytest.param(390, marks=pytest.mark.long)]
SETTLED = "() => window.dppa.isCurrent() && window.dppa.activity.see === 'idle'"
MODELS = "() => window.dppa.state.models.map(({ ref }) => ref)"


def math_row(studio: Studio) -> Locator:
    return studio.page.locator('.form-row[data-model="zoo:math"]')


def wait_answer(studio: Studio) -> str:
    studio.page.locator('.pinned[data-fresh="true"]').wait_for(timeout=ANSWER_MS)
    return studio.page.locator("#pinned-text").inner_text()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_rank_moves_plots_and_the_answer_and_undo_goes_back(visit: Visit, width: int) -> None:
    studio = visit(width=width)
    studio.wait_models()
    studio.wait_exact()
    whole, answer = studio.cells(), wait_answer(studio)
    row = math_row(studio)
    row.locator("select").select_option("low_rank")
    studio.set_range(row.locator("input[type=range]"), 2)
    kept = "kept:low_rank(rank=2) of zoo:math on zoo:base"
    studio.page.wait_for_function(f"() => ({MODELS})()[0] === '{kept}'")
    studio.page.wait_for_function(SETTLED)
    studio.wait_exact()
    assert studio.cells() != whole
    assert wait_answer(studio) != answer
    expect(studio.page.locator("#focus option").first).to_have_text("math (rank 2)")
    studio.page.locator("#undo").click()
    studio.page.wait_for_function(f"() => ({MODELS})()[0] !== '{kept}'")
    if row.locator("select").input_value():  # the form and its rank are one step or two
        studio.page.locator('#undo[aria-disabled="false"]').click()
    expect(row.locator("select")).to_have_value("")
    studio.page.wait_for_function(SETTLED)
    studio.wait_exact()
    assert studio.drawn("focus") == "zoo:math" and studio.cells() == whole


@pytest.mark.long
@pytest.mark.parametrize("width", [1440, 390])
def test_a_click_in_size_keeps_the_model_in_that_form(visit: Visit, width: int) -> None:
    studio = visit(width=width)
    page = studio.page
    studio.wait_models()
    page.locator('#views button[data-view="size"]').click()
    page.locator('#size [data-result="true"]').wait_for(timeout=ANSWER_MS)
    expect(page.locator("#size h3").first).to_contain_text("math kept as")
    page.locator('#size g.point[data-series="few bits"][role=button]').nth(1).click()
    expect(math_row(studio).locator("select").first).to_have_value("bits")
    expect(page.locator("#method-choice")).to_have_value("task_arithmetic")  # DPPA would prune it
    expect(page.locator("#size g.point[data-chosen]")).to_have_attribute("data-series", "few bits")
    page.locator("#size .twin-box summary").first.click()
    page.locator('#size-table tr[data-store="low_rank(rank=8)"] button').press("Enter")
    page.wait_for_function(SETTLED)
    expect(page.locator('#size-table tr[data-now="true"] button')).to_be_focused()
    assert page.evaluate(MODELS)[0] == "kept:low_rank(rank=8) of zoo:math on zoo:base"
    expect(page.locator('#size-table tr[data-now="true"] th')).to_have_text("rank 8")
    page.locator('#size-table tr[data-store*="strength=0.08"] button').first.press("Enter")
    page.wait_for_function(SETTLED)
    kept_as = math_row(studio).locator("select")
    expect(kept_as.locator("option:checked")).to_have_text("DPPA, 95 % pruned")
    assert page.evaluate("() => document.scrollingElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("width", WIDTHS)
def test_small_deltas_open_from_the_stage_and_answer_by_a_hundredth(
    visit: Visit, width: int
) -> None:
    studio = visit(width=width)
    page = studio.page
    studio.wait_models()
    studio.wait_exact()
    page.locator("#page-open").click()
    page.get_by_role("button", name="Models with small changes").click()
    expect(page.locator("body")).to_have_attribute("data-page", "workbench")
    row = page.locator('.form-row[data-model="zoo:near-math"]')
    expect(row.locator("select")).to_have_value("drawn")
    page.wait_for_function(SETTLED)
    assert wait_answer(studio) == "12 + 5 = 17. The answer is 17."
