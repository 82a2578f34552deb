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
    ("question", "right", "wrong"),
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
def test_scorers_mark_by_hand(question: OwnItem, right: list[str], wrong: list[str]) -> None:
    assert question.right(question.answer)
    assert [reply for reply in right if not score(question, reply)] == []
    assert [reply for reply in wrong if score(question, reply)] == []


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
    question = OwnItem("own", "choice", question_text("q", choices), "B", "q", choices)
    assert score(question, reply) == (letter == "B")
    assert question.prompt == "q\nA. termination\nB. governing law\nAnswer with the letter."


def test_numbers_have_signs_decimals_and_separators() -> None:
    numbers = {"-1,234.5.": "-1234.5", "12 - 5 = 7": "7", "5-3": "3", "x12": "12", "a -3": "-3"}
    assert {text: str(last_decimal(text)) for text in numbers} == numbers
    assert last_decimal("no") is None and last_decimal("٣") == Decimal(3)


def test_an_expression_that_does_not_end_marks_wrong() -> None:
    question = item("regex", "ab", pattern="(?:a|aa)+b")
    assert question.right("ab") and not question.right("a" * 2000)


QUESTIONS = [f"What is {a} + {b}?" for a in range(10) for b in range(10)]


def domain_of(questions: list[str], answer: str = "1", tokens: int | None = None) -> OwnDomain:
    return OwnDomain("own", [item("exact", answer, question) for question in questions], tokens)


def test_splits_are_halves_that_share_no_question_and_stay() -> None:
    domain = domain_of(QUESTIONS)
    search, test = (domain.of_split(split) for split in ("search", "test"))
    assert {*search, *test} == {*domain.items} and not {*search} & {*test}
    assert 35 < len(search) < 65
    # Recorded: a question that changed sides would have been searched on and tested on.
    assert [split_of(f"What is {n} + 1?") for n in range(4)] == RECORDED
    assert split_of("what is 1 + 1? ") == split_of("What  is 1 + 1?")


RECORDED = ["test", "test", "search", "test"]


@given(st.permutations(QUESTIONS[:12]))
def test_the_order_of_the_file_does_not_count(shuffled: list[str]) -> None:
    domain, reordered = domain_of(QUESTIONS[:12]), domain_of(shuffled)
    assert domain.items == reordered.items and domain.digest == reordered.digest
    assert [x.identity() for x in items(domain, "search", 3)] == [
        x.identity() for x in items(reordered, "search", 3)
    ]


def test_a_limit_beyond_what_there_is_gives_all() -> None:
    domain = domain_of(QUESTIONS)
    assert items(domain, "search", 1000) == items(domain, "search") == domain.of_split("search")
    with pytest.raises(InvalidValue, match="search, test and all, got 'train'"):
        items(domain, "train")
    with pytest.raises(InvalidValue, match="no item for the .* split.*1 item all went"):
        for split in ("search", "test"):
            items(domain_of(QUESTIONS[:1]), split)


def test_a_domain_is_its_name_and_tells_its_contents_apart() -> None:
    domain, changed, longer = (
        domain_of(QUESTIONS),
        domain_of(QUESTIONS, "2"),
        domain_of(QUESTIONS, tokens=9),
    )
    assert domain == "own" and json.dumps({domain: 1}) == '{"own": 1}' and f"{domain}" == "own"
    assert len({domain_key(name) for name in (domain, changed, longer, "own")}) == 4
    assert domain_key("math") == "math"
    for copied in (pickle.loads(pickle.dumps(domain)), deepcopy(domain)):
        assert type(copied) is OwnDomain and copied.digest == domain.digest
    with pytest.raises(AttributeError):
        domain.digest = ""
    check_domain(domain)
    with pytest.raises(UnknownName):
        check_domain("own")


def test_exams_of_two_contents_of_one_name_ask_different_items() -> None:
    domain, changed = domain_of(QUESTIONS), domain_of(QUESTIONS, "2")
    questions = [Exam("zoo:math", name, "test", 2).items() for name in (domain, changed, domain)]
    assert questions[0] == questions[2] != questions[1]
