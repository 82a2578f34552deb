"""The pinned question: it follows the slider, and ends on the server's answer."""

from dataclasses import replace

import pytest

from components.session.presets import first_session
from components.views.see.answer_curve import MAX_TOKENS
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.generate import stream_tokens
from dppa_core.models.reply import GenerationSettings
from dppa_core.tasks import example_items
from tests.e2e.conftest import Visit
from tests.e2e.page_driver import ANSWER_MS, Studio

MATH = example_items("math")[0]


def text(studio: Studio) -> str:
    return studio.page.locator("#pinned-text").inner_text().strip()


def settled(studio: Studio) -> None:
    """Wait for the answer of the current merge."""
    studio.page.locator('.pinned[data-fresh="true"][data-later=""]').wait_for(timeout=ANSWER_MS)


@pytest.mark.parametrize("width", [1440, 390])
def test_the_answer_follows_the_rate_and_ends_on_the_server_s_own(visit: Visit, width: int) -> None:
    studio = visit(width=width)
    settled(studio)
    assert text(studio) == MATH.answer
    mark = studio.page.locator("#pinned .right-mark")
    assert mark.inner_text() == "✓ right"
    studio.set_rate(0)
    settled(studio)
    for rate in (20, 40, 60, 80, 90, 95, 97, 98, 99):
        studio.set_rate(rate)
        studio.page.wait_for_timeout(150)
    settled(studio)
    recipe = replace(first_session(), rate=0.99).recipe()
    with ModelPool(public=True).lend(recipe) as resident:
        *_, last = stream_tokens(resident, MATH.prompt, GenerationSettings(MAX_TOKENS))
    assert text(studio) == last.text.strip() != MATH.answer
    assert mark.inner_text() == "✗ wrong"
    assert (mark.get_attribute("title") or "").endswith(MATH.answer)
    assert studio.page.locator("#pinned-text .changed").count() >= 1


@pytest.mark.long
def test_a_question_of_one_s_own_is_answered_and_stays_after_a_reload(visit: Visit) -> None:
    studio = visit()
    settled(studio)
    studio.page.locator("#pinned-choice").select_option("own")
    box = studio.page.locator("#pinned-own")
    box.fill("What is 2 + 2?")
    box.press("Enter")
    settled(studio)
    first = text(studio)
    assert first and studio.page.locator("#pinned .right-mark").inner_text() == ""
    studio.reload()
    settled(studio)
    assert box.input_value() == "What is 2 + 2?" and text(studio) == first


@pytest.mark.long
def test_a_token_opens_what_else_each_model_would_write(visit: Visit) -> None:
    studio = visit()
    settled(studio)
    first = studio.page.locator("#pinned-text button").first
    first.press("End")
    studio.page.keyboard.press("Home")
    studio.page.keyboard.press("Enter")
    studio.page.locator(".next-model").nth(4).wait_for(timeout=ANSWER_MS)
    likeliest = studio.page.locator('.next-model[data-target="merged"] li').first
    token = first.inner_text().strip()
    assert likeliest.locator(".next-text").inner_text().strip("␣") == token
    cold = float(likeliest.get_attribute("data-share") or 0)
    studio.unfold("answer-settings", "#temperature")
    studio.set_range(studio.page.locator("#temperature input[type=range]"), 2)
    studio.page.locator(".next .how", has_text="temperature 2.0").wait_for()
    warm = float(likeliest.get_attribute("data-share") or 0)
    assert 0 < warm < cold <= 1


@pytest.mark.long
def test_the_curve_marks_where_the_answer_breaks(visit: Visit) -> None:
    studio = visit()
    settled(studio)
    studio.page.locator(".breaks summary").click()
    studio.page.locator('.breaks[data-done="true"]').wait_for(timeout=ANSWER_MS)
    said = studio.page.locator(".breaks-said").inner_text()
    assert (
        said.startswith("The answer first changes between 9")
        and studio.page.locator(".breaks-change").count() == 1
    )
    here = studio.page.locator(".breaks-here")
    before = float(here.get_attribute("cx") or 0)
    points = studio.page.locator(".breaks-dot").count()
    studio.set_rate(90)
    studio.page.wait_for_function(
        "x => +document.querySelector('.breaks-here').getAttribute('cx') > x", arg=before
    )
    assert studio.page.locator(".breaks-dot").count() == points, "the thumb moves on the same curve"
    studio.page.locator("#breaks-axis").select_option("coefficient of math")
    studio.page.locator(".breaks-said", has_text="below").wait_for(timeout=ANSWER_MS)


@pytest.mark.long
def test_a_question_of_the_chat_can_be_pinned(visit: Visit) -> None:
    studio = visit()
    settled(studio)
    law = example_items("law")[0]
    studio.ask(law.prompt)
    studio.wait_answer()
    studio.page.locator('button[title^="Pin this question"]').click()
    settled(studio)
    assert text(studio) == law.answer
    studio.page.locator("#transcript .token").first.click()
    studio.page.locator("#transcript .next-model").nth(4).wait_for(timeout=ANSWER_MS)


@pytest.mark.long
def test_a_conversation_is_continued_once_it_is_chosen(visit: Visit) -> None:
    studio = visit()
    studio.ask(MATH.prompt)
    studio.wait_answer()
    studio.unfold("answer-settings", "#conversation")
    studio.page.locator("#conversation input").check()
    studio.ask("And 3 more?")
    turn = studio.page.locator(".turn").nth(1)
    turn.locator('[data-target="merged"][data-state="done"]').wait_for(timeout=ANSWER_MS)
    assert turn.locator(".turn-head .tag").inner_text() == "continues 1"
    turn.locator('button[title^="Show the question"]').click()
    read = turn.locator(".rendered pre").first.inner_text()
    assert (
        MATH.prompt in read
        and MATH.answer in read
        and read.index(MATH.prompt) < read.index("And 3 more?")
    )


@pytest.mark.long
def test_undo_and_reset_write_the_answer_of_the_settings_that_came_back(visit: Visit) -> None:
    studio = visit()
    settled(studio)
    for back in ("#undo", "#reset"):
        studio.set_rate(99)
        settled(studio)
        assert text(studio) != MATH.answer
        studio.page.locator(back).click()
        studio.wait_exact(80)
        settled(studio)
        assert text(studio) == MATH.answer, back
