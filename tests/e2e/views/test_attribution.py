"""Attribution of an answer to layers: measured, cancelled, stale; on screen and phone."""

import pytest
from playwright.sync_api import Page, expect

from components.session.presets import first_session
from dppa_core.evaluation.analysis.attribution_run import attribute
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.tasks import example_prompts
from tests.e2e.conftest import Visit
from tests.e2e.page_driver import ANSWER_MS, Studio

MATH = example_prompts("math")[0]


def open_view(studio: Studio) -> Page:
    studio.wait_models()
    studio.page.locator('#views button[data-view="attribution"]').click()
    return studio.page


def ask(page: Page, prompt: str = MATH, by: str = "layer", answer: str = "") -> None:
    page.locator("#attribution-prompt textarea").fill(prompt)
    page.locator("#attribution-answer").locator("textarea, input").fill(answer)
    page.locator(f'#attribution-by input[value="{by}"]').check()
    page.locator("#attribution-run").click()


def wait_state(page: Page, state: str) -> None:
    found = page.locator(f'#attribution [data-attribution-state="{state}"]')
    found.wait_for(state="attached", timeout=ANSWER_MS)


@pytest.mark.long
@pytest.mark.parametrize("width", [1440, 390])
def test_a_bar_shows_what_the_library_measures(visit: Visit, width: int) -> None:
    studio = visit(width=width)
    page = open_view(studio)
    page.locator('#attribution-examples button[data-domain="math"]').click()
    expect(page.locator("#attribution-prompt textarea")).to_have_value(MATH)
    page.locator("#attribution-run").click()
    wait_state(page, "done")
    recipe = first_session().recipe()
    found = attribute(recipe, ModelPool().get(recipe), MATH)
    bars = page.eval_on_selector_all(
        "#attribution-bars rect.bar", "bars => bars.map(b => [b.dataset.layer, b.dataset.value])"
    )
    assert [layer for layer, _ in bars] == [*(str(i) for i in range(6)), "outside"]
    expected = [effect.change for effect in found.effects]
    assert [float(value) for _, value in bars] == pytest.approx(expected, abs=1e-4)
    expect(page.locator("#attribution .said")).to_contain_text("The answer needs")
    expect(page.locator("#attribution")).to_contain_text("nats per token")
    overflow = "() => document.scrollingElement.scrollWidth - innerWidth"
    assert page.evaluate(overflow) <= 0


@pytest.mark.long
def test_modules_are_a_heatmap_with_zero_in_its_middle(studio: Studio) -> None:
    page = open_view(studio)
    ask(page, by="module", answer="The answer is 17.")
    wait_state(page, "done")
    cells = page.eval_on_selector_all(
        "#attribution-map g.cell",
        "c => c.map(x => [+x.dataset.value, x.querySelector('.value').getAttribute('fill')])",
    )
    assert len(cells) == 42
    colours = {value: [int(x) for x in fill[4:-1].split(",")] for value, fill in cells}
    red, _, blue = colours[max(colours)]
    assert max(colours) > 0 and red > blue, "above zero is brown"
    red, _, blue = colours[min(colours)]
    assert min(colours) < 0 and blue > red, "below zero is blue"
    page.locator("#attribution-map").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#attribution .tip")).to_contain_text("to a loss of")


@pytest.mark.long
@pytest.mark.parametrize("width", [1440, 390])
def test_cancel_ends_the_work_and_keeps_what_was_there(visit: Visit, width: int) -> None:
    studio = visit(width=width)
    page = open_view(studio)
    ask(page)
    wait_state(page, "done")
    # Sixty long sentences as the answer, so that there is time to cancel.
    ask(page, prompt="Tom buys 5 apples. " * 20, by="module", answer="Tom has 17. " * 20)
    page.wait_for_function(
        "() => document.querySelector('#attribution .standing').textContent.includes(' of 42')"
    )
    page.locator("#attribution-stop").click()
    wait_state(page, "stopped")
    assert page.locator("#attribution-bars rect.bar").count() == 7, "the first result stays"
    page.locator('#status [data-activity="idle"]').first.wait_for(state="attached")
    ask(page)  # at once, while Gradio still ends the run that was stopped
    wait_state(page, "done")
    expect(page.locator("#attribution .standing")).to_contain_text("the merge as it is now")


@pytest.mark.long
def test_it_is_stale_once_the_recipe_moves_and_fresh_when_it_comes_back(studio: Studio) -> None:
    page = open_view(studio)
    ask(page)
    wait_state(page, "done")
    studio.set_range(studio.rate, 70)
    stale = page.locator('#attribution [data-stale="true"]')
    stale.wait_for(state="attached")
    expect(page.locator("#attribution .standing")).to_contain_text("Stale: measured on recipe")
    studio.set_range(studio.rate, 80)
    page.locator('#attribution [data-stale="false"]').wait_for(state="attached")


@pytest.mark.long
def test_the_last_question_of_the_chat_can_be_taken(studio: Studio) -> None:
    page = open_view(studio)
    last = page.locator('#attribution-examples button[data-domain="chat"]')
    expect(last).to_be_disabled()
    question = "How are <b>you</b> ${1 + 1}?"
    studio.ask(question)
    studio.wait_answer()
    expect(last).to_be_enabled()
    last.click()
    expect(page.locator("#attribution-prompt textarea")).to_have_value(
        "How are <b>you</b> ${1 + 1}?"
    )
    page.locator("#attribution-run").click()
    wait_state(page, "done")
    expect(page.locator("#attribution")).to_contain_text(question)
    assert page.locator("#attribution b").count() == 0


@pytest.mark.long
def test_nothing_is_measured_without_a_question(visit: Visit) -> None:
    studio = visit()
    page = open_view(studio)
    page.locator("#attribution-prompt textarea").fill("x" * 2000)
    length = page.locator("#attribution-length")
    expect(length).to_have_text("Question: 2,000 of 2,000 characters: more is cut")
    page.locator("#attribution-prompt textarea").fill("")
    expect(length).to_have_text("")
    page.locator("#attribution-run").click()
    expect(page.locator(".field-note")).to_contain_text("There is no question yet")
    page.locator('#status [data-activity="idle"]').first.wait_for(state="attached")
    assert page.locator('#attribution [data-attribution-state="idle"]').count() == 1
