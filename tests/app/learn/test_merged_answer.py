"""The block that answers: it says what its merge says, and merges only what comes with the page."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from components.learn.blocks.context import BlockContext
from components.learn.blocks.registry import answer
from components.session.presets import first_session
from components.work.studio import Studio
from dppa_core.errors import InvalidValue
from dppa_core.models.reply import GenerationSettings, ReplyToken
from dppa_core.tasks import example_of, score

HEADLINE = (
    "Headline: Norvex Group shares jump after strong sales. "
    "Is the tone positive, negative or neutral?"
)
ALL_THREE = {"models": ["zoo:math", "zoo:finance", "zoo:law"], "question": HEADLINE}


def said(studio: Studio, **arguments: object) -> dict[str, Any]:
    stop = threading.Event()
    context = BlockContext(studio, first_session(), lambda *_: None, stop)
    return answer("merged-answer", arguments, context)


def test_its_answer_is_that_of_the_page_s_merge_and_is_marked(studio: Studio) -> None:
    studio.pool()
    session = replace(first_session(), rate=0.95, factors=(1.0, 3.0))
    *_, reply = studio.answerer().replies(session.recipe(), HEADLINE, GenerationSettings(48))
    ours = said(studio, **ALL_THREE, rate=0.95, factors=[1, 3])
    assert isinstance(reply, ReplyToken) and ours["text"] == reply.text
    assert ours["right"] is score(example_of(HEADLINE), reply.text)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"models": ["/etc"]}, "models are a list of some of zoo:math"),
        ({"models": "zoo:math"}, "models are a list"),
        ({"models": [{}]}, "models are a list"),
        ({"models": []}, "1 to 5 domain models"),
        ({"rate": 1}, "rate must be a number from 0 to 0.99"),
        ({"factors": 2}, "factors are a list"),
        ({"factors": [9]}, "from 0 to 4"),
        ({"question": "How are you?"}, "question is one of"),
    ],
)
def test_what_it_cannot_merge_or_ask_is_named(
    studio: Studio, arguments: dict[str, object], says: str
) -> None:
    with pytest.raises(InvalidValue, match=says):
        said(studio, **arguments)
