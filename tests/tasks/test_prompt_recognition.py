"""Which questions the embedded models learned."""

from itertools import islice

import pytest

from dppa_core.tasks import DOMAINS, SPLITS, draw_items, example_prompts
from dppa_core.tasks.prompt_recognition import MAX_PROMPT_CHARACTERS, NUMBER_OF_KINDS, is_known_kind


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_question_of_every_split_is_of_a_known_kind(domain):
    drawn = [item.prompt for split in SPLITS for item in islice(draw_items(domain, split), 300)]
    assert [text for text in (*drawn, *example_prompts(domain)) if not is_known_kind(text)] == []


@pytest.mark.parametrize(
    "question",
    ["What is 2+2?", "hi", "Who wrote Hamlet?", "How many planets are there?", "Is this fair?"],
)
def test_other_questions_are_of_no_known_kind(question):
    assert not is_known_kind(question)


def test_a_text_too_long_for_a_learned_question_is_not_searched():
    long = "1 apple. How many " + "a does b " * 60 + "does he have now?"
    assert len(long) > MAX_PROMPT_CHARACTERS and not is_known_kind(long)


def test_the_kinds_are_the_tasks_and_the_skills():
    assert NUMBER_OF_KINDS == 2 + 3 + 3 + 4
