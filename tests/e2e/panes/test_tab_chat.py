"""The chat as the visitor's tab answers it: the server's words, by embedded models."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Locator, expect

from components.session.presets import first_session
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.generate import stream_reply
from dppa_core.models.reply import Conversation, GenerationSettings
from tests.e2e.page_driver import Studio, new_context
from tests.e2e.panes.test_chat import choose_targets, example
from tests.e2e.panes.test_conversation import button, compare_with, open_settings, set_number
from tests.e2e.server import Server
from tests.e2e.session.test_restored_chat import reload, shown
from tests.e2e.views.test_words_of_the_tab import cut, ready

pytestmark = pytest.mark.tab

QUESTIONS = ("Tom has 12 apples. Tom buys 5 more. How many apples does Tom have now?", "1 + 1 = ?")
SLOW_ANSWERS = r"""() => {
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function(wish) {
        const [, place] = /^chat (\d+)$/.exec(wish.channel ?? "") ?? [];
        setTimeout(() => post.call(this, wish), place ? 400 + 800 * place : 0);
    };
}"""
EACH = "answers => answers.map(({dataset}) => [dataset.target, dataset.state, dataset.source])"


@pytest.fixture
def in_tab(studio: Studio) -> Studio:
    """The page, once its tab has fetched the models."""
    ready(studio)
    studio.set_rate(80)
    studio.open_pane("chat")
    return studio


def turn(studio: Studio, place: int) -> Locator:
    """A turn, once all its answers are there."""
    found = studio.page.locator("#transcript .turn").nth(place)
    found.wait_for()
    expect(found.locator('.answer:not([data-state="done"])')).to_have_count(0)
    return found


def sources(view: Locator) -> set[str]:
    return {source for _, _, source in view.locator(".answer").evaluate_all(EACH)}


def replies(
    rate: int, earlier: tuple[tuple[tuple[str, str], ...], ...], question: str
) -> list[str]:
    """What the merge at a rate and math answer, each behind its own earlier answers."""
    merge = replace(first_session(), rate=rate / 100).recipe()
    texts = []
    for target, before in zip((merge, "zoo:math"), earlier, strict=True):
        prompt = Conversation(question, before, "Be brief.")
        resident = ModelPool().get(target)
        texts.append(list(stream_reply(resident, prompt, GenerationSettings()))[-1])
    return texts


@pytest.mark.long
def test_three_turns_across_a_move_have_the_words_of_the_library(in_tab: Studio) -> None:
    choose_targets(in_tab, "merged", "math")
    open_settings(in_tab)
    in_tab.page.locator("#conversation input").check()
    in_tab.page.locator("#system-prompt textarea").fill("Be brief.")
    said: list[list[tuple[str, str]]] = [[], []]
    for place, rate in enumerate((80, 40, 80)):
        in_tab.set_rate(rate)
        question = example(in_tab, ("math", "law", "finance")[place])
        expected = replies(rate, tuple(map(tuple, said)), question)
        in_tab.page.locator("#send").click()
        view = turn(in_tab, place)
        assert view.locator(".answer-text").all_inner_texts() == expected
        assert sources(view) == {"tab"}
        for earlier, text in zip(said, expected, strict=True):
            earlier.append((question, text))
    stale = in_tab.page.locator('.answer[data-target="merged"][data-stale="true"]')
    expect(stale).to_have_count(1)
    in_tab.set_rate(40)
    expect(stale).to_have_count(2)


@pytest.mark.long
def test_what_is_drawn_is_the_server_s_and_reads_what_the_tab_answered(in_tab: Studio) -> None:
    choose_targets(in_tab, "merged", "math")
    open_settings(in_tab)
    in_tab.page.locator("#conversation input").check()
    in_tab.ask(QUESTIONS[0])
    assert sources(turn(in_tab, 0)) == {"tab"}
    set_number(in_tab, "temperature", 1)
    in_tab.ask(QUESTIONS[1])
    assert sources(turn(in_tab, 1)) == {"server"}
    token = in_tab.page.locator('#transcript [data-source="tab"] .token').first
    token.click()
    in_tab.page.locator("#transcript .next-model").nth(4).wait_for()
    likeliest = in_tab.page.locator('.next-model[data-target="merged"] .next-text').first
    assert likeliest.inner_text().strip("␣") == token.inner_text().strip()
    in_tab.page.locator(".next").get_by_role("button", name="Close").click()
    button(in_tab, "Show the question as the models read it").click()
    assert QUESTIONS[0] in in_tab.page.locator(".rendered:visible pre").first.inner_text()
    set_number(in_tab, "temperature", 0)
    in_tab.ask(QUESTIONS[1])
    assert sources(turn(in_tab, 2)) == {"tab"}
    assert "continues 2" in in_tab.page.locator("#transcript .turn").last.inner_text()
    before = shown(in_tab)
    reload(in_tab)
    assert shown(in_tab) == before
    assert [sources(turn(in_tab, place)) for place in range(3)] == [{"tab"}, {"server"}, {"tab"}]


@pytest.mark.long
def test_stop_ends_the_tab_s_answers_and_the_next_question_is_answered(in_tab: Studio) -> None:
    in_tab.page.evaluate(SLOW_ANSWERS)
    in_tab.ask(QUESTIONS[0])
    view = in_tab.page.locator("#transcript .turn").nth(0)
    view.locator('.answer[data-state="done"]').first.wait_for()
    in_tab.page.locator("#stop").click()
    states = [state for _, state, _ in view.locator(".answer").evaluate_all(EACH)]
    assert set(states) == {"done", "stopped"} and states[-1] == "stopped"
    choose_targets(in_tab, "merged")
    in_tab.ask(QUESTIONS[1])
    assert sources(turn(in_tab, 1)) == {"tab"}
    assert [state for _, state, _ in view.locator(".answer").evaluate_all(EACH)] == states


@pytest.mark.long
def test_a_blind_comparison_with_an_earlier_merge_of_the_tab(in_tab: Studio) -> None:
    in_tab.ask(QUESTIONS[0])
    turn(in_tab, 0)
    before = in_tab.recipe
    in_tab.set_rate(60)
    open_settings(in_tab)
    compare_with(in_tab, f"recipe:{before}")
    in_tab.ask(QUESTIONS[0])
    view = turn(in_tab, 1)
    view.get_by_role("button", name="no difference").click()
    answers = view.locator(".answer")
    recipes = answers.evaluate_all("all => all.map(({dataset}) => dataset.recipe)")
    assert set(recipes) == {before, in_tab.recipe} and sources(view) == {"tab"}
    set_number(in_tab, "temperature", 1)  # the server does not know that recipe
    expect(in_tab.page.locator(f'#against option[value="recipe:{before}"]')).to_have_count(0)


@pytest.mark.long
def test_a_tab_without_its_server_answers_and_the_plan_of_its_merge_stays(in_tab: Studio) -> None:
    choose_targets(in_tab, "merged", "base")
    in_tab.ask(QUESTIONS[1])  # so that base is there
    turn(in_tab, 0)
    cut(in_tab)
    in_tab.set_range(in_tab.rate, 77)
    in_tab.wait_exact(77)
    choose_targets(in_tab, "base")
    in_tab.ask(QUESTIONS[0])
    assert sources(turn(in_tab, 1)) == {"tab"}
    in_tab.wait_frame()
    assert in_tab.drawn("exact") == "true"


@pytest.fixture
def without_worker(browser: Browser, server: Server) -> Iterator[Studio]:
    """The page where no worker may start."""
    context = new_context(browser)
    context.route("**/worker.js", lambda route: route.abort())
    yield Studio.visit(context, server.url)
    context.close()


@pytest.mark.long
def test_without_a_worker_the_server_answers(without_worker: Studio) -> None:
    without_worker.wait_models()
    without_worker.set_rate(70)
    for place, question in enumerate(QUESTIONS):
        without_worker.ask(question)
        assert sources(turn(without_worker, place)) == {"server"}


@pytest.mark.long
def test_a_worker_that_ends_loses_no_question(in_tab: Studio) -> None:
    in_tab.page.evaluate(
        """() => {
            const post = Worker.prototype.postMessage;
            Worker.prototype.postMessage = function(wish) {
                if (wish.channel?.startsWith("chat")) this.onerror(new ErrorEvent("error"));
                else post.call(this, wish);
            };
        }"""
    )
    in_tab.ask(QUESTIONS[0])
    assert sources(turn(in_tab, 0)) == {"server"}
    assert in_tab.page.locator("#transcript .turn").count() == 1
