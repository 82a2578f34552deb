"""Forms that keep a delta: a rank moves plots and the answer; a click in Size sets a form."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.conftest import Visit
from tests.e2e.page_driver import ANSWER_MS, Studio
from tests.e2e.server import ROOT

WIDTHS = [1440, pytest.param(390, marks=pytest.mark.long)]
SETTLED = "() => window.dppa.isCurrent() && window.dppa.activity.see === 'idle'"
MODELS = "() => window.dppa.state.models.map(({ ref }) => ref)"
FIRST = "() => [window.dppa.state.models[0].ref, window.dppa.state.models[0].coefficient]"
QUESTION = '{"question": "Tom has 12 apples. Tom buys 5 more. How many apples does Tom have now?"'


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


def test_another_kind_of_form_begins_with_its_own_factor_and_undo_restores_both(
    studio: Studio,
) -> None:
    page = studio.page
    studio.wait_models()
    studio.wait_exact()
    select = math_row(studio).locator("select").first
    coefficient = page.locator('.model-row[data-model*="zoo:math"] input[type=range]')

    def keep(form: str, kept: list[object]) -> None:
        select.select_option(form)
        page.wait_for_function(SETTLED)
        assert page.evaluate(FIRST) == kept

    studio.set_range(coefficient, 0.6)
    low_rank = "kept:low_rank(rank=16) of zoo:math on zoo:base"
    keep("low_rank", [low_rank, 0.6])  # the weight of a whole model is the visitor's
    studio.set_range(coefficient, 1.5)
    page.wait_for_timeout(700)  # a step of its own
    keep("bits", ["kept:bits(bits=1) of zoo:math on zoo:base", 1])
    page.locator('#undo[aria-disabled="false"]').click()
    page.wait_for_function("kept => window.dppa.state.models[0].ref === kept", arg=low_rank)
    assert page.evaluate(FIRST) == [low_rank, 1.5]


@pytest.mark.tab
def test_a_model_in_a_form_answers_whole_beside_the_merge(studio: Studio) -> None:
    studio.wait_models()
    studio.wait_exact()
    studio.page.locator("#pinned-choice").select_option(index=0)
    others = studio.page.locator(".pinned .others li")
    expect(others.nth(1)).to_contain_text("math")
    math_row(studio).locator("select").first.select_option("low_rank")
    studio.page.wait_for_function(SETTLED)
    expect(others.nth(1)).to_contain_text("math, whole✓12 + 5 = 17. The answer is 17.")


@pytest.mark.long
def test_the_form_of_now_is_marked_measured_or_not_and_leads_to_its_answer(studio: Studio) -> None:
    page, now = studio.page, studio.page.locator("#size-now")
    studio.wait_models()
    page.locator('#views button[data-view="size"]').click()
    expect(now).to_contain_text("Now: whole", timeout=ANSWER_MS)
    row = math_row(studio)
    row.locator("select").first.select_option("low_rank")
    page.wait_for_function(SETTLED)
    studio.set_range(row.locator("input[type=range]"), 5)
    expect(now).to_contain_text("being measured")
    expect(now).to_contain_text("of the changes' energy", timeout=ANSWER_MS)
    expect(now).to_contain_text("Now: rank 5, ")
    expect(page.locator("#size g.point[data-chosen]")).to_have_attribute("data-series", "low rank")
    page.get_by_role("button", name="See its answer").click()
    expect(page.locator("#pinned-choice")).to_be_focused()


@pytest.mark.long
def test_questions_are_missing_asked_exchanged_and_recalled(studio: Studio, tmp_path: Path) -> None:
    page = studio.page
    studio.wait_models()
    own = str(shutil.copytree(ROOT / "assets" / "zoo" / "math", tmp_path / "mine"))
    studio.use_models(own)
    page.locator('#views button[data-view="size"]').click()
    page.locator("#size-model").select_option(own)
    expect(page.locator("#size h3").first).to_contain_text("mine kept as", timeout=ANSWER_MS)
    page.locator("#formscores-run").click()
    expect(page.locator("#size-view .field-note")).to_contain_text("no questions yet: type or")
    expect(page.locator("#formscores-run")).to_have_attribute("aria-disabled", "false")
    expect(page.locator(".toast-body")).to_have_count(0)

    studio.open_pane("score")
    studio.unfold("questions-box", "#questions-text")
    text = page.locator("#questions-text textarea")
    text.fill(f'{QUESTION}, "answer": "17"}}')
    page.locator("#formscores-run").click()
    heading, plot = page.locator("#size h3").first, page.locator("#size .plot-result").first
    expect(heading).to_contain_text("100\u202f% right", timeout=ANSWER_MS)
    expect(heading).to_contain_text("too few to show a loss of 2 points")
    expect(plot).to_have_attribute("data-old", "false")
    text.fill(f'{QUESTION}, "answer": "18"}}')
    expect(plot).to_have_attribute("data-old", "true")
    page.locator("#formscores-run").click()
    expect(heading).to_contain_text("answers nothing right", timeout=ANSWER_MS)
    page.locator("#size .twin-box summary").first.click()
    expect(page.locator("#size-table")).not_to_contain_text("best,")
    expect(page.locator("#size-table td", has_text="best")).to_have_count(0)

    studio.reload()
    page.locator('#views button[data-view="size"]').click()
    page.locator("#size-model").select_option(own)
    expect(heading).to_contain_text("answers nothing right")
