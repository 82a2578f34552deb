"""The chat's handlers without a server: what they refuse, keep and return."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from components.page.wiring_chat import MAX_TURNS
from components.page.workbench import build_page
from components.session.conversation import ModelAnswer, Turn
from components.session.presets import first_session
from components.work.rate_limits import TOKENS_PER_HOUR
from components.work.studio import Studio
from dppa_core.recipes.yaml_text import dump_recipe

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@dataclass(frozen=True)
class Request:
    """Who asks."""

    session_hash: str = "ada"


@pytest.fixture(scope="module")
def page(tiny_zoo: Path) -> Iterator[gr.Blocks]:
    """A page for strangers; one for all tests, since no handler keeps anything on it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DPPA_ZOO", str(tiny_zoo))
        yield build_page(Studio(public=True))


def ask(
    page: gr.Blocks, turns: tuple[Turn, ...] = (), who: str = "ada", **values: Any
) -> list[dict[str, Any]]:
    """All outputs of a question, transcript parsed; other inputs keep their first values."""
    (event,) = [fn for fn in page.fns.values() if fn.name == "on_ask"]
    view = {block.elem_id: block for block in event.inputs if block.elem_id}
    opened = {"prompt": "1 + 1?", "max-tokens": 3} | values
    inputs = {block: block.value for block in event.inputs}
    inputs |= {view[name.replace("_", "-")]: value for name, value in opened.items()}
    transcript, state, recipes = (
        next(block for block in event.outputs if block.elem_id == "transcript"),
        *[block for block in event.outputs if isinstance(block, gr.State)],
    )
    inputs[state] = turns
    return [
        {"shown": json.loads(out[transcript]), "turns": out[state], "recipes": out[recipes]}
        for out in event.fn(inputs, Request(who))
    ]


def duel(against: Any) -> str:
    return json.dumps({"against": against})


def by_tab(**changes: Any) -> str:
    """What the page sends of a turn that its tab answered."""
    answers = [["merged", "Merged said this."], ["zoo:base", "Two."]]
    turn = {"id": "a", "prompt": "1 + 1?", "earlier": 0, "system": "", "answers": answers}
    return json.dumps({"tab": [turn | changes]})


def test_an_answer_grows_and_ends_at_rest(page: gr.Blocks) -> None:
    *_, last = ask(page)
    (turn,) = last["shown"]["turns"]
    assert last["shown"]["activity"] == "idle" and last["shown"]["order"] == [turn["id"]]
    assert [answer["label"] for answer in turn["answers"]][:2] == ["merged", "base"]
    for answer in turn["answers"]:
        assert answer["state"] == "done" and answer["tokens"] == len(answer["entropy"]) == 3
    assert [turn.id for turn in last["turns"]] == [turn["id"]] and len(last["recipes"]) == 1


def test_a_blind_comparison_asks_two_whoever_is_ticked(page: gr.Blocks) -> None:
    *_, last = ask(page, duel=duel("zoo:law"), answer_with=["zoo:math"])
    (turn,) = last["shown"]["turns"]
    assert turn["blind"] and {a["target"] for a in turn["answers"]} == {"merged", "zoo:law"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"duel": "{}"}, "unreadable form"),
        ({"duel": "["}, "something unreadable"),
        ({"duel": None}, "something unreadable"),
        ({"duel": duel(3)}, "unreadable form"),
        ({"duel": duel("/etc")}, "cannot be compared"),
        ({"duel": duel("recipe:123456789abc")}, "cannot be compared"),
        ({"top-p": 0}, "Top-p must be a number from 0.05 to 1"),
        ({"top-p": "all"}, "Top-p"),
        ({"temperature": 9}, "Temperature"),
        ({"prompt": "${alert(1)}" * 300}, "at most 2000 fit"),
        ({"answer-with": ["/etc/passwd"]}, "No model is chosen"),
        ({"models": "[]"}, "list of models"),
        ({"transcript": '{"tab": 5}'}, "earlier answers in an unreadable form"),
        ({"transcript": '{"tab": [{"id": "a"}]}'}, "earlier answers in an unreadable form"),
        ({"transcript": by_tab(answers=[["merged", 5]])}, "earlier answers in an unreadable form"),
        ({"transcript": by_tab(prompt="x" * 2001)}, "at most 2000 fit"),
    ],
)
def test_what_no_page_sends_is_refused_in_one_line(
    page: gr.Blocks, values: dict[str, Any], says: str
) -> None:
    with pytest.raises(gr.Error) as caught:
        ask(page, **values)
    assert says in caught.value.message and "\n" not in caught.value.message


@pytest.mark.parametrize(
    "seed", [-7, 1e99, float("inf"), float("nan"), 1.5, 2**31, "7", None, True]
)
def test_a_seed_that_is_none_is_refused_by_its_name(page: gr.Blocks, seed: Any) -> None:
    """Also after Gradio's processing of values for a handler."""
    box = next(block for block in page.blocks.values() if block.elem_id == "seed")
    with pytest.raises(gr.Error) as caught:
        ask(page, seed=box.preprocess(seed))
    assert caught.value.message.startswith("Seed must be a whole number from 0 to 2147483647, got ")


def test_each_model_asked_takes_from_the_allowance(page: gr.Blocks) -> None:
    everyone = ["merged", "zoo:base", "zoo:math", "zoo:finance", "zoo:law"]
    (event,) = [fn for fn in page.fns.values() if fn.name == "on_ask"]
    count = TOKENS_PER_HOUR // (256 * len(everyone))
    for _ in range(count):  # used up by the question, even if nobody reads the answer
        inputs = {block: block.value for block in event.inputs}
        for block in inputs:
            value = {"prompt": "1 + 1?", "max-tokens": 256, "answer-with": everyone}
            inputs[block] = value.get(block.elem_id, inputs[block])
        stream = event.fn(inputs, Request("eve"))
        next(stream)
        stream.close()
    with pytest.raises(gr.Error, match="up to 30,000 tokens an hour"):
        ask(page, who="eve", answer_with=everyone, max_tokens=256)
    (named,) = [fn for fn in page.fns.values() if fn.name == "chat"]
    recipe = dump_recipe(first_session().recipe())
    with pytest.raises(gr.Error, match="up to 30,000 tokens an hour"):
        for _ in range(3):  # the endpoint shares that allowance
            named.fn(recipe, "1 + 1?", Request("eve"), max_tokens=256)


def test_only_so_many_turns_are_kept(page: gr.Blocks) -> None:
    many = tuple(Turn(str(n), "q", (ModelAnswer("zoo:base", "base"),)) for n in range(40))
    *_, last = ask(page, turns=many)
    kept = last["turns"]
    assert len(kept) == MAX_TURNS and kept[0].id == "21"
    assert {answer.state for turn in kept[:-1] for answer in turn.answers} == {"stopped"}


def test_clearing_forgets_the_conversation_and_its_recipes(page: gr.Blocks) -> None:
    (event,) = [fn for fn in page.fns.values() if fn.name == "on_clear"]
    out = event.fn()
    assert sorted(map(str, out.values()), key=len)[:2] == ["()", "()"]
    (value,) = [json.loads(text) for text in out.values() if isinstance(text, str)]
    assert value == {"order": [], "turns": [], "activity": "idle"}


@pytest.mark.parametrize("name", ["on_stop", "on_clear"])
def test_the_answer_ends_before_what_is_kept_of_it_is_told(page: gr.Blocks, name: str) -> None:
    (asking,) = [fn for fn in page.fns.values() if fn.name == "on_ask"]
    ends = [fn for fn in page.fns.values() if asking._id in fn.cancels]
    (event,) = [
        fn
        for fn in page.fns.values()
        if fn.name == name and {block.elem_id for block in fn.outputs} & {"transcript"}
    ]
    (before,) = [fn for fn in ends if fn.targets == event.targets]
    assert before._id < event._id and event.queue is False and before.queue is False


def test_a_conversation_reads_each_model_s_own_answers(page: gr.Blocks) -> None:
    said_by = {"merged": "Merged said this.", "zoo:base": "Two."}
    answers = (ModelAnswer(name, name, state="done", text=t) for name, t in said_by.items())
    first = Turn("a", "1 + 1?", tuple(answers))
    alone = ask(page, (first,), answer_with=["zoo:base"], prompt="And 2?")[-1]["turns"][-1]
    assert alone.earlier == 0 and "1 + 1?" not in alone.answers[0].prompt
    settings = {"conversation": True, "system_prompt": "Be brief.", "answer_with": ["zoo:base"]}
    turn = ask(page, (first,), prompt="And 2?", **settings)[-1]["turns"][-1]
    prompts = ["system\nBe brief.", "user\n1 + 1?", "assistant\nTwo.", "user\nAnd 2?"]
    places = [turn.answers[0].prompt.find(text) for text in prompts]
    assert "Merged" not in turn.answers[0].prompt
    assert turn.earlier == 1 and -1 not in places and places == sorted(places)


def test_a_conversation_goes_on_behind_what_the_tab_answered(page: gr.Blocks) -> None:
    settings = {"conversation": True, "answer_with": ["zoo:base"], "prompt": "And 2?"}
    *_, last = ask(page, transcript=by_tab(), **settings)
    first, turn = last["turns"]
    read = turn.answers[0].prompt
    places = [read.find(text) for text in ("user\n1 + 1?", "assistant\nTwo.", "user\nAnd 2?")]
    assert first.id == "a" and last["shown"]["order"] == ["a", turn.id] and turn.earlier == 1
    assert "Merged" not in read and -1 not in places and places == sorted(places)
