"""Questions of one's own: scorers by hand, the split, and the name that carries them."""

import json
import pickle
from copy import deepcopy
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.errors import InvalidValue, UnknownName
from dppa_core.evaluation.scores import Exam
from dppa_core.tasks import check_domain, items, score
from dppa_core.tasks.own_items import (
    OwnDomain,
    OwnItem,
    chosen_letter,
    domain_key,
    last_decimal,
    question_text,
    split_of,
)


def item(scorer: str, answer: str, question: str = "q", pattern: str = "") -> OwnItem:
    return OwnItem("own", scorer, question, answer, question, (), pattern)


@pytest.mark.parametrize(
    ("one", "right", "wrong"),
    [
        (item("exact", "New York."), ["new  york", "New York", " NEW YORK. "], ["York", ""]),
        (
            item("number", "It costs $1,234.50."),
            ["1234.5", "first 3, then 1,234.50.", "= 1234.500"],
            ["1,234", "-1234.5", "none", "1234.5 of 2"],
        ),
        (
            item("contains", "governing law"),
            ["A Governing  Law clause.", "governing law"],
            ["governing laws", "law", ""],
        ),
        (item("contains", "C++"), ["It is c++."], ["It is c."]),
        (
            item("regex", "The answer is 7.", pattern=r"answer is (-?[0-9]+)"),
            ["so the answer is 7", "answer is 7 or 8"],
            ["7", "the answer is 8", "Answer is 7"],
        ),
        (item("regex", "yes", pattern=r"(?i)\b(?:yes|yeah)\b"), ["Yeah!", "yes"], ["no", "yesno"]),
    ],
)
def test_scorers_mark_by_hand(one: OwnItem, right: list[str], wrong: list[str]) -> None:
    assert one.right(one.answer)
    assert [reply for reply in right if not score(one, reply)] == []
    assert [reply for reply in wrong if score(one, reply)] == []


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("B", "B"),
        ("b)", "B"),
        ("(B)", "B"),
        ("B. governing law", "B"),
        ("The answer is B.", "B"),
        ("A good answer: governing law", "B"),
        ("It is (A), surely", "A"),
        ("either (A) or (B)", None),
        ("termination or governing law", None),
        ("C", None),
        ("", None),
    ],
)
def test_a_reply_chooses_by_letter_or_by_text(reply: str, letter: str | None) -> None:
    choices = ("termination", "governing law")
    assert chosen_letter(reply, choices) == letter
    one = OwnItem("own", "choice", question_text("q", choices), "B", "q", choices)
    assert score(one, reply) == (letter == "B")
    assert one.prompt == "q\nA. termination\nB. governing law\nAnswer with the letter."


def test_numbers_have_signs_decimals_and_separators() -> None:
    told = {"-1,234.5.": "-1234.5", "12 - 5 = 7": "7", "5-3": "3", "x12": "12", "a -3": "-3"}
    assert {text: str(last_decimal(text)) for text in told} == told
    assert last_decimal("no") is None and last_decimal("٣") == Decimal(3)


def test_an_expression_that_does_not_end_marks_wrong() -> None:
    one = item("regex", "ab", pattern="(?:a|aa)+b")
    assert one.right("ab") and not one.right("a" * 2000)


QUESTIONS = [f"What is {a} + {b}?" for a in range(10) for b in range(10)]


def own(questions: list[str], answer: str = "1", tokens: int | None = None) -> OwnDomain:
    return OwnDomain("own", [item("exact", answer, one) for one in questions], tokens)


def test_splits_are_halves_that_share_no_question_and_stay() -> None:
    domain = own(QUESTIONS)
    search, test = (domain.of_split(split) for split in ("search", "test"))
    assert {*search, *test} == {*domain.items} and not {*search} & {*test}
    assert 35 < len(search) < 65
    # Recorded: a question that changed sides would have been searched on and tested on.
    assert [split_of(f"What is {n} + 1?") for n in range(4)] == RECORDED
    assert split_of("what is 1 + 1? ") == split_of("What  is 1 + 1?")


RECORDED = ["test", "test", "search", "test"]


@given(st.permutations(QUESTIONS[:12]))
def test_the_order_of_the_file_does_not_count(shuffled: list[str]) -> None:
    one, other = own(QUESTIONS[:12]), own(shuffled)
    assert one.items == other.items and one.digest == other.digest
    assert [x.identity() for x in items(one, "search", 3)] == [
        x.identity() for x in items(other, "search", 3)
    ]


def test_a_limit_beyond_what_there_is_gives_all() -> None:
    domain = own(QUESTIONS)
    assert items(domain, "search", 1000) == items(domain, "search") == domain.of_split("search")
    with pytest.raises(InvalidValue, match="search, test and all, got 'train'"):
        items(domain, "train")
    with pytest.raises(InvalidValue, match="no item for the .* split.*1 item all went"):
        for split in ("search", "test"):
            items(own(QUESTIONS[:1]), split)


def test_a_domain_is_its_name_and_tells_its_contents_apart() -> None:
    one, other, longer = own(QUESTIONS), own(QUESTIONS, "2"), own(QUESTIONS, tokens=9)
    assert one == "own" and json.dumps({one: 1}) == '{"own": 1}' and f"{one}" == "own"
    assert len({domain_key(each) for each in (one, other, longer, "own")}) == 4
    assert domain_key("math") == "math"
    for copied in (pickle.loads(pickle.dumps(one)), deepcopy(one)):
        assert type(copied) is OwnDomain and copied.digest == one.digest
    with pytest.raises(AttributeError):
        one.digest = ""
    check_domain(one)
    with pytest.raises(UnknownName):
        check_domain("own")


def test_exams_of_two_contents_of_one_name_ask_different_items() -> None:
    one, other = own(QUESTIONS), own(QUESTIONS, "2")
    asked = [Exam("zoo:math", each, "test", 2).items() for each in (one, other, one)]
    assert asked[0] == asked[2] != asked[1]
