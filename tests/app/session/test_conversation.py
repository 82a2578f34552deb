"""Conversations without a server: events, data for the browser, checks of questions."""

import json
from dataclasses import replace

import pytest

from components.page.wiring_chat import MAX_RECIPES, with_recipe
from components.session.conversation import (
    AnswerSettings,
    ModelAnswer,
    Turn,
    activity_of,
    apply_events,
    stopped_turns,
    transcript_value,
)
from components.session.presets import first_session
from components.widgets.browser_parts import pack
from components.work.question import (
    EARLIER,
    ChatQuestion,
    first_targets,
    is_right,
    read_duel,
    read_question,
    read_settings,
    target_choices,
)
from dppa_core.errors import InvalidValue
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.tasks import example_items
from dppa_core.tasks.prompt_recognition import NUMBER_OF_KINDS

SESSION = first_session()
OTHER = replace(SESSION, rate=0.6).recipe()
PLAIN = AnswerSettings()

TURN = Turn(
    "t", "1 + 1?", (ModelAnswer("merged", "merged", "abc"), ModelAnswer("zoo:base", "base"))
)


def test_events_change_only_the_answer_they_are_about() -> None:
    after = apply_events(TURN, [("merged", {"state": "writing"}), ("merged", {"text": "2"})])
    assert after.answers[0] == ModelAnswer("merged", "merged", "abc", "writing", "2")
    assert after.answers[1] == TURN.answers[1]


def test_merging_is_said_while_it_lasts() -> None:
    assert activity_of(TURN.changed("merged", state="merging")) == "merging"
    assert activity_of(TURN.changed("merged", state="writing")) == "answering"


def test_stop_keeps_what_was_written_and_ends_the_rest() -> None:
    half = TURN.changed("merged", state="done", text="2")
    (after,) = stopped_turns((half,))
    assert [answer.state for answer in after.answers] == ["done", "stopped"]
    assert after.answers[0].text == "2"


def test_only_the_growing_turn_is_sent_and_at_rest_all_of_them() -> None:
    turns = (TURN, replace(TURN, id="u"))
    growing = json.loads(pack(transcript_value(turns, "answering")))
    assert growing["order"] == ["t", "u"]
    assert [turn["id"] for turn in growing["turns"]] == ["u"]
    whole = json.loads(pack(transcript_value(turns, "idle")))
    assert [turn["id"] for turn in whole["turns"]] == whole["order"] == ["t", "u"]


def test_a_turn_travels_with_its_settings() -> None:
    turn = ChatQuestion("q", ("zoo:math",), settings=AnswerSettings(7, 0.5, 0.9, 3)).turn()
    (sent,) = json.loads(pack(transcript_value((turn,), "idle")))["turns"]
    drawn = {"max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "seed": 3}
    assert sent["settings"] == drawn | {"conversation": False, "system": ""}
    assert sent["answers"][0]["label"] == "math" and sent["blind"] is False


def test_an_example_travels_with_its_answer_and_an_answer_with_its_mark() -> None:
    item = example_items("math")[0]
    turn = read_question(item.prompt, ["merged"], PLAIN, SESSION).turn()
    assert (turn.expected, turn.outside) == (item.answer, "")
    assert is_right(item.prompt, f"So: {item.answer}") is True
    assert is_right(item.prompt, "The answer is 3.") is False
    assert is_right("What is 2+2?", "4") is None


def test_a_question_of_no_learned_kind_says_so_for_embedded_models_only() -> None:
    turn = read_question("What is 2+2?", ["merged"], PLAIN, SESSION).turn()
    assert turn.outside.startswith(f"These models learned only {NUMBER_OF_KINDS} kinds of question")
    assert read_duel("hi", "zoo:math", PLAIN, SESSION, ()).turn().outside == turn.outside
    own = replace(SESSION, models=(replace(SESSION.models[0], reference="/mine"),))
    assert read_question("What is 2+2?", ["merged"], PLAIN, own).turn().outside == ""


def test_all_embedded_models_answer_at_first_and_of_others_the_merge_alone() -> None:
    everyone = ["merged", "zoo:base", "zoo:math", "zoo:finance", "zoo:law"]
    assert first_targets(SESSION) == everyone
    own = replace(SESSION, models=(replace(SESSION.models[0], reference="/mine"),))
    assert first_targets(own) == ["merged"]


# questions --------------------------------------------------------------------------------------


def test_everyone_ticked_answers_in_the_order_of_the_list() -> None:
    question = read_question(" hi ", ["zoo:law", "merged", "/etc/passwd"], PLAIN, SESSION)
    assert question.prompt == "hi"
    assert question.targets == ("merged", "zoo:law")
    assert question.target("merged") == SESSION.recipe() and question.target("zoo:law") == "zoo:law"
    assert question.turn().answers[0].recipe == recipe_hash(SESSION.recipe())


@pytest.mark.parametrize("text", ["", "  ", None, 3, "x" * 2001])
def test_what_is_no_question_is_refused(text: object) -> None:
    with pytest.raises(InvalidValue, match="There is no question|at most 2000 fit"):
        read_question(text, ["merged"], PLAIN, SESSION)


@pytest.mark.parametrize("chosen", [[], None, "merged", ["zoo:nobody"]])
def test_a_question_to_nobody_is_refused(chosen: object) -> None:
    with pytest.raises(InvalidValue, match="No model is chosen"):
        read_question("hi", chosen, PLAIN, SESSION)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ((0, 0, 1, 0), "Longest answer"),
        ((257, 0, 1, 0), "Longest answer"),
        ((9, 2.1, 1, 0), "Temperature"),
        ((9, 0, 0, 0), "Top-p"),
        ((9, 0, 1.01, 0), "Top-p"),
        ((9, 0, "1", 0), "Top-p"),
        ((9, 0, float("nan"), 0), "Top-p"),
        ((9, 0, 1, -1), "Seed"),
        ((9, 0, 1, None), "Seed"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(values: tuple[object, ...], name: str) -> None:
    with pytest.raises(InvalidValue, match=name):
        read_settings(*values)


# blind comparisons ------------------------------------------------------------------------------


def test_a_duel_is_between_the_merge_and_one_other_in_either_order() -> None:
    orders = {read_duel("hi", "zoo:math", PLAIN, SESSION, ()).targets for _ in range(60)}
    assert orders == {("merged", "zoo:math"), ("zoo:math", "merged")}


def test_a_merge_meets_an_earlier_recipe() -> None:
    against = EARLIER + recipe_hash(OTHER)
    question = read_duel("hi", against, PLAIN, SESSION, (SESSION.recipe(), OTHER))
    assert question.target(against) == OTHER and question.target("merged") == SESSION.recipe()
    turn = question.turn()
    assert turn.blind
    assert {answer.recipe for answer in turn.answers} == {
        recipe_hash(OTHER),
        recipe_hash(SESSION.recipe()),
    }


@pytest.mark.parametrize("against", ["merged", "zoo:nobody", "/etc/passwd", EARLIER, "recipe:abc"])
def test_nobody_else_can_be_compared(against: str) -> None:
    assert against not in dict(target_choices(SESSION)).values() or against == "merged"
    with pytest.raises(InvalidValue, match="cannot be compared"):
        read_duel("hi", against, PLAIN, SESSION, (OTHER,))


def test_a_merge_does_not_meet_itself() -> None:
    mine = SESSION.recipe()
    with pytest.raises(InvalidValue, match="itself now. Move a slider"):
        read_duel("hi", EARLIER + recipe_hash(mine), PLAIN, SESSION, (mine,))


def test_recipes_that_answered_are_kept_once_and_only_so_many() -> None:
    many = [replace(SESSION, rate=rate / 100).recipe() for rate in range(50, 62)]
    kept: tuple[object, ...] = ()
    for recipe in [*many, many[-2]]:
        kept = with_recipe(kept, recipe)
    assert len(kept) == MAX_RECIPES
    assert kept[:2] == (many[-2], many[-1])
    assert with_recipe(kept, None) == kept
