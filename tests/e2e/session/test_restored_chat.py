"""The conversation after a reload: restored in its own tab until it is cleared."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.page_driver import Studio
from tests.e2e.panes.test_chat import ask_at_length
from tests.e2e.panes.test_conversation import (
    ask_example,
    button,
    compare_with,
    open_settings,
    wait_idle,
)
from tests.e2e.test_bad_input import EVIL

KEY = "dppa.talk.1"
SHOWN = """() => [...document.querySelectorAll('#transcript .turn')].map(turn => [
    turn.querySelector('.question').textContent,
    ...[...turn.querySelectorAll('.answer')].map(answer =>
        [answer.dataset.state, answer.dataset.target, answer.innerText])])"""


def shown(studio: Studio) -> list[Any]:
    """Every question, and state, author and text of its answers."""
    return studio.page.evaluate(SHOWN)


def stored(studio: Studio) -> Any:
    return json.loads(studio.page.evaluate(f"() => sessionStorage.getItem('{KEY}')") or "null")


RELOAD_WHILE_WRITING = """() => {
    // In the page, the moment the first word is there: no round trip can come late.
    const text = '#transcript .answer[data-state="writing"] .answer-text';
    const watch = new MutationObserver(() => {
        if (!document.querySelector(text)?.textContent.trim()) return;
        watch.disconnect();
        location.reload();
    });
    const options = {subtree: true, childList: true, attributes: true, characterData: true};
    watch.observe(document.querySelector('#transcript'), options);
}"""


def reload(studio: Studio, by: Callable[[], object] | None = None) -> None:
    studio.reload(by)
    studio.wait_exact()
    studio.open_pane("chat")


@pytest.mark.long
def test_it_comes_back_goes_on_and_ends_with_clear(studio: Studio) -> None:
    studio.wait_models()
    ask_example(studio)
    before = shown(studio)
    reload(studio)
    assert shown(studio) == before
    ask_example(studio, "law")
    after = shown(studio)
    assert after[0] == before[0] and len(after) == 2
    reload(studio)
    assert shown(studio) == after
    open_settings(studio)  # the server knows no recipe of before
    assert studio.page.locator('#against option[value^="recipe:"]').count() == 0
    clear = studio.page.locator("#transcript").get_by_role("button", name="lear the conversation")
    clear.click()
    clear.click()
    expect(studio.page.locator("#transcript .turn")).to_have_count(0)
    reload(studio)
    assert shown(studio) == [] and stored(studio) is None


@pytest.mark.long
def test_what_was_being_written_is_kept_up_to_there(studio: Studio) -> None:
    studio.wait_models()
    studio.page.evaluate(RELOAD_WHILE_WRITING)
    reload(studio, lambda: ask_at_length(studio))
    [[question, *answers]] = shown(studio)
    assert question and len(answers) == 3
    assert {state for state, _, _ in answers} <= {"stopped", "done"}
    assert any("the page was loaded anew" in text and len(text) > 60 for _, _, text in answers)


@pytest.mark.long
def test_a_question_that_was_not_sent_stays_in_its_box(studio: Studio) -> None:
    studio.open_pane("chat")
    box = studio.page.locator("#prompt textarea")
    box.fill(EVIL)
    reload(studio)
    expect(box).to_have_value(EVIL)
    assert studio.page.evaluate("() => window.pwned === undefined")
    box.fill("")
    reload(studio)
    expect(box).to_have_value("")
    assert stored(studio) is None


@pytest.mark.long
def test_a_vote_stays_given_and_names_stay_hidden_until_then(studio: Studio) -> None:
    studio.wait_models()
    compare_with(studio, "zoo:math")
    ask_example(studio)
    reload(studio)
    assert {target for _, target, _ in shown(studio)[0][1:]} == {"left", "right"}
    button(studio, "left").click()
    expect(studio.page.locator("#transcript .verdict")).to_contain_text("You said: the left one")
    reload(studio)
    expect(studio.page.locator("#transcript .verdict")).to_contain_text("You said: the left one")
    expect(studio.page.locator("#transcript .ballot")).to_be_hidden()
    assert stored(studio)["votes"]


@pytest.mark.long
def test_a_server_that_forgot_who_this_is_costs_no_word(studio: Studio) -> None:
    """It remembers only the latest sessions: anybody can evict one."""
    studio.wait_models()
    ask_example(studio)
    before = shown(studio)
    for number in range(301):
        asked = {"fn_index": -1, "session_hash": f"crowd-{number}", "data": []}
        answer = studio.page.request.post(f"{studio.url}/gradio_api/queue/join", data=asked)
        assert answer.status == 404
    ask_example(studio, "law")
    after = shown(studio)
    assert after[0] == before[0] and len(after) == 2


def kept(**changes: Any) -> str:
    """What a tab keeps of one answer."""
    numbers = {"max_tokens": 9, "temperature": 0, "top_p": 1, "seed": 0}
    words = {"target": "merged", "label": "merged", "recipe": "", "state": "done", "note": ""}
    sizes = {"tokens": 1, "seconds": 1, "loss": 0.5, "ends": [3], "entropy": [0.1]}
    answer = {**words, **sizes, "text": "yes", "prompt": "?"} | changes
    turn = {"id": "a", "prompt": "1 + 1?", "settings": numbers, "blind": False, "answers": [answer]}
    return json.dumps({"turns": [turn], "votes": {}})


NONE = ("{", "5", "[]", '{"turns": 5}', '{"turns": [null]}', '{"turns": [{}], "votes": 3}')
ODD = ({"text": 5}, {"ends": [1, 2]}, {"loss": "x"}, {"entropy": [None]}, {"text": "x" * 60_000})


@pytest.mark.long
@pytest.mark.keeps
def test_what_no_page_kept_is_left_out(studio: Studio) -> None:
    recall = f"text => (sessionStorage.setItem('{KEY}', text), dppa.talk.recall().length)"
    assert studio.page.evaluate(recall, kept()) == 1
    for text in (*NONE, *(kept(**one) for one in ODD)):
        assert studio.page.evaluate(recall, text) == 0, text


def test_what_is_kept_is_shown_as_text_and_never_run(studio: Studio) -> None:
    text = kept(text=EVIL, note=EVIL, label=EVIL, prompt=EVIL, target=EVIL, ends=[len(EVIL)])
    studio.reusable = False
    studio.page.add_init_script(f"sessionStorage.setItem('{KEY}', {json.dumps(text)})")
    reload(studio)
    button(studio, "Show the question as the models read it").click()
    assert EVIL in shown(studio)[0][1][2]
    assert studio.page.evaluate("() => window.pwned === undefined")


@pytest.mark.long
def test_only_so_much_is_kept(studio: Studio) -> None:
    """The latest questions, so that the browser's own limit is never met."""
    studio.page.evaluate(
        """text => {
            const [turn] = JSON.parse(text).turns;
            const many = [...Array(40).keys()].map(i => ({...turn, id: String(i)}));
            dppa.talk.remember(many);
        }""",
        kept(text="x" * 40_000, prompt="y" * 49_000),
    )
    text = studio.page.evaluate(f"() => sessionStorage.getItem('{KEY}')")
    turns = json.loads(text)["turns"]
    assert len(text) <= 1_000_000 and len(turns) == 11 and turns[-1]["id"] == "39"
    wait_idle(studio)
