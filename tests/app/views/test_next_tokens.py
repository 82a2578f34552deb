"""Next tokens of every model, from the merge and the context that wrote the answer."""

import json
from dataclasses import replace
from typing import Any

import pytest

from components.session.conversation import AnswerSettings, ModelAnswer, Turn
from components.session.presets import first_session
from components.views.see.next_tokens import next_payload, read_next
from components.work.question import MERGED
from components.work.studio import Studio
from dppa_core.errors import InvalidValue
from dppa_core.models.reply import Conversation
from dppa_core.recipes.yaml_text import recipe_hash

pytestmark = pytest.mark.usefixtures("one_torch_thread")
PLACE = {"id": 3, "prompt": "1 + 1?", "text": "2", "recipe": "", "turn": ""}


def rows(studio: Studio, turns: tuple[Turn, ...] = (), **place: Any) -> dict[str, Any]:
    request, earlier = read_next(json.dumps(PLACE | place)), replace(first_session(), rate=0.5)
    *_, last = next_payload(request, first_session(), turns, (earlier.recipe(),), studio)
    return {"recipe": last["recipe"]} | {row["target"]: row for row in last["rows"]}


def test_every_model_reads_the_answer_up_to_there(studio: Studio) -> None:
    tables = rows(studio)
    assert list(tables) == ["recipe", MERGED, "zoo:base", "zoo:math", "zoo:finance", "zoo:law"]
    assert tables["recipe"] == recipe_hash(first_session().recipe())
    expected = studio.answerer().reading("zoo:math", "1 + 1?", "2")
    assert [token["logit"] for token in tables["zoo:math"]["next"]] == [
        token.logit for token in expected.next
    ]
    assert tuple(tables["zoo:math"]["log_sums"]) == expected.log_sums


def test_an_earlier_answer_is_read_by_the_merge_that_wrote_it(studio: Studio) -> None:
    earlier = replace(first_session(), rate=0.5).recipe()
    tables = rows(studio, recipe=recipe_hash(earlier))
    assert tables["recipe"] == recipe_hash(earlier)
    expected = studio.answerer().reading(earlier, "1 + 1?", "2")
    assert tables[MERGED]["next"][0]["logit"] == expected.next[0].logit


def test_a_turn_of_a_conversation_is_read_with_what_came_before(studio: Studio) -> None:
    answer = ModelAnswer("zoo:math", "math", state="done", text="hello")
    settings = AnswerSettings(conversation=True, system="be brief")
    turns = (Turn("a", "hi", (answer,)), Turn("b", "1 + 1?", (answer,), settings, earlier=1))
    tables = rows(studio, turns, turn="b")
    whole = Conversation("1 + 1?", (("hi", "hello"),), "be brief")
    for target, prompt in (
        ("zoo:math", whole),
        ("zoo:law", Conversation("1 + 1?", system="be brief")),
    ):
        expected = studio.answerer().reading(target, prompt, "2")
        assert tables[target]["next"][0]["logit"] == expected.next[0].logit


@pytest.mark.parametrize("change", [{"id": "3"}, {"text": 2}, {"turn": None}, {"prompt": " "}])
def test_unreadable_requests_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        read_next(json.dumps(PLACE | change))
