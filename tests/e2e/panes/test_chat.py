"""The chat: answers from the merged model, stops, stale marks, several models, several visitors."""

import time
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from components.session.presets import first_session
from tests.e2e.conftest import Visit
from tests.e2e.expected import first_recipe, long_question, reply
from tests.e2e.page_driver import Studio
from tests.e2e.server import Server
from tests.helpers.links import link_of

STOP_AT_ONCE = """() => {
    // The click is made in the page, the moment the answer starts: no round trip can miss it.
    const watch = new MutationObserver(() => {
        const answers = document.querySelectorAll('#transcript .answer[data-state="writing"]');
        const begun = [...answers].some(a => a.querySelector('.answer-text')?.textContent.trim());
        if (begun) {
            watch.disconnect();
            const stop = document.querySelector('#stop');
            (stop.matches('button') ? stop : stop.querySelector('button')).click();
        }
    });
    const options = {subtree: true, childList: true, attributes: true, characterData: true};
    watch.observe(document.querySelector('#transcript'), options);
}"""


def example(studio: Studio, domain: str = "math") -> str:
    """Fill in the first example of a domain; returns its text."""
    studio.open_pane("chat")
    studio.page.locator(f'#examples button.example[data-domain="{domain}"]').first.click()
    box = studio.page.locator("#prompt textarea")
    studio.page.wait_for_function("() => document.querySelector('#prompt textarea').value")
    return box.input_value()


def choose_targets(studio: Studio, *labels: str) -> None:
    """Tick exactly the models that are to answer."""
    boxes = studio.page.locator("#answer-with label")
    for i in range(boxes.count()):
        box = boxes.nth(i)
        wanted = any(label in box.inner_text().lower() for label in labels)
        box.locator("input[type=checkbox]").set_checked(wanted)


def ask_at_length(studio: Studio) -> None:
    """Ask math, then the others, a question that takes math a hundred tokens or more."""
    prompt, seed = long_question()
    studio.open_pane("chat")
    choose_targets(studio, "math", "finance", "law")
    studio.unfold("answer-settings", "#max-tokens input[type=number]")
    for name, value in (("max-tokens", 256), ("temperature", 1.5), ("seed", seed)):
        box = studio.page.locator(f"#{name} input[type=number]")
        box.fill(str(value))
        box.press("Tab")
    studio.ask(prompt)


def test_articles_are_no_example_for_the_embedded_models(studio: Studio) -> None:
    studio.open_pane("chat")
    article = studio.page.locator("#examples button.article")
    expect(article).to_have_count(1)
    expect(article).to_be_hidden()
    expect(studio.page.locator("#examples button.example:visible")).to_have_count(6)


@pytest.mark.long
def test_the_merged_model_gives_the_same_answer_again_and_says_which_recipe(studio: Studio) -> None:
    studio.wait_models()
    for _ in range(2):
        prompt = example(studio)
        studio.ask(prompt)
        answer = studio.wait_answer("merged")
        shown = answer.locator(".answer-text").inner_text()
        assert shown.split() == reply(prompt).split() != []  # the library's own, word for word
        studio.page.locator('#status [data-activity="idle"]').first.wait_for(state="attached")
    assert answer.get_attribute("data-recipe") == studio.recipe == first_recipe()
    assert answer.get_attribute("data-stale") == "false"
    asked = studio.page.locator("#transcript .turn .question").last.inner_text()
    assert prompt.split()[0] in asked


@pytest.mark.long
def test_an_answer_is_stale_once_a_slider_has_moved(studio: Studio) -> None:
    studio.wait_models()
    studio.ask(example(studio))
    answer = studio.wait_answer("merged")
    recipe = studio.recipe
    studio.set_rate(60)
    stale = '#transcript .answer[data-target="merged"][data-stale="true"]'
    studio.page.locator(stale).wait_for()
    studio.page.locator('#status [data-fresh="stale"]').wait_for(state="attached")
    assert studio.recipe != recipe == answer.get_attribute("data-recipe")
    studio.set_rate(80)
    fresh = '#transcript .answer[data-target="merged"][data-stale="false"]'
    studio.page.locator(fresh).wait_for()
    assert studio.recipe == recipe


@pytest.mark.long
def test_a_new_merge_answers_after_a_move(studio: Studio) -> None:
    studio.wait_models()
    studio.set_rate(50)
    studio.ask(example(studio))
    answer = studio.wait_answer("merged")
    assert answer.get_attribute("data-recipe") == studio.recipe


@pytest.mark.long
def test_stop_ends_the_answer_and_its_worker(studio: Studio, server: Server) -> None:
    studio.wait_models()
    studio.page.evaluate(STOP_AT_ONCE)
    ask_at_length(studio)
    turn = studio.page.locator("#transcript .turn").last
    turn.locator('.answer[data-state="stopped"]').first.wait_for(timeout=60_000)
    studio.page.locator('#status [data-activity="idle"]').first.wait_for(state="attached")
    time.sleep(0.5)
    before = turn.inner_text()
    assert server.busy_share(1.0) < 0.3, "the worker went on after Stop"
    assert turn.inner_text() == before
    assert turn.locator('.answer[data-state="writing"], .answer[data-state="waiting"]').count() == 0
    studio.ask("1 + 1 = ?")  # and the page is ready for the next question
    studio.page.locator("#transcript .turn").nth(1).wait_for()
    press = "name => document.getElementById(name).click()"
    studio.page.evaluate(f"() => ['stop', 'send'].forEach({press})")  # both before Gradio hears
    studio.page.locator("#transcript .turn").nth(2).wait_for()


@pytest.mark.long
def test_closing_the_tab_ends_the_worker(studio: Studio, server: Server) -> None:
    studio.wait_models()
    ask_at_length(studio)
    studio.page.locator('#transcript .answer[data-state="writing"]').first.wait_for()
    studio.page.close()
    time.sleep(1.0)
    assert server.busy_share(1.0) < 0.3, "the worker went on after the tab was closed"


@pytest.mark.long
def test_base_and_domain_models_answer_side_by_side(studio: Studio) -> None:
    studio.wait_models()
    prompt = example(studio)
    choose_targets(studio, "merged", "base", "math")
    studio.ask(prompt)
    for target in ("merged", "zoo:base", "zoo:math"):
        text = studio.wait_answer(target).locator(".answer-text").inner_text()
        assert text.strip() or target == "zoo:base"


def test_a_second_visitor_sees_nothing_of_the_first(visit: Visit) -> None:
    first, second = visit(), visit()
    first.wait_models()
    first.set_rate(55)
    first.ask(example(first))
    first.wait_answer("merged")
    second.wait_exact(80)
    assert second.rate.input_value() == "80"
    assert second.page.locator("#transcript .turn").count() == 0
    assert second.recipe != first.recipe


def test_an_empty_question_is_not_sent(studio: Studio) -> None:
    studio.wait_models()
    studio.open_pane("chat")
    studio.page.locator("#prompt textarea").fill("   ")
    send = studio.page.locator("#send")
    if send.is_enabled():
        send.click()
    studio.page.wait_for_timeout(500)
    assert studio.page.locator("#transcript .answer").count() == 0


@pytest.mark.long
def test_a_model_that_was_removed_is_asked_no_more_and_the_others_are(visit: Visit) -> None:
    studio = visit()
    studio.page.get_by_role("button", name="Remove law").click()
    expect(studio.page.locator("#answer-with input")).to_have_count(4)
    studio.ask("1 + 1 = ?")
    for target in ("merged", "zoo:base", "zoo:math", "zoo:finance"):
        studio.wait_answer(target)
    assert not studio.page.locator('#transcript .answer[data-target="zoo:law"]').count()
    studio.page.locator("#undo").click()
    expect(studio.page.locator("#answer-with input")).to_have_count(5)
    studio.ask("2 + 2 = ?")
    studio.wait_answer("merged")


@pytest.mark.long
def test_a_link_to_other_models_ticks_those_that_are_there(visit: Visit) -> None:
    pair = replace(first_session(), models=first_session().models[:2])
    studio = visit(link=link_of(pair))
    expect(studio.page.locator("#answer-with input")).to_have_count(4)
    studio.ask("1 + 1 = ?")
    studio.wait_answer("zoo:finance")


def test_a_question_that_is_too_long_for_all_is_said_once(studio: Studio) -> None:
    studio.wait_models()
    studio.ask("Tom has 12 apples. " * 100)
    turn = studio.page.locator("#transcript .turn").last
    turn.locator('.answer[data-state="failed"]').nth(4).wait_for(state="attached")
    told = turn.get_by_text("tokens and the model reads at most 512. Shorten it.")
    visible = [one for one in told.all() if one.is_visible()]
    assert len(visible) == 1
    assert visible[0].inner_text().startswith("No model answered. The prompt takes 8")
