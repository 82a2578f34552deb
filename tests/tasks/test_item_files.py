"""Files of one's own questions: read, and refused with line, key, what is allowed, an example."""

from pathlib import Path

import pytest

from dppa_core.errors import InvalidValue
from dppa_core.tasks.item_files import MAX_FILE_BYTES, own_domain, read_items
from tests.helpers.own_questions import APPLES, write_apples, write_clauses

Q = '{"question": "q", "answer": "a"'


def test_json_lines_and_csv_say_the_same() -> None:
    choice = '{"question": "s", "answer": "B", "choices": ["x", "y"]}'
    lines = '\n{"question": "q, r", "answer": 1}\n\n' + choice
    table = '\ufeffquestion,answer,choices\n"q, r",1,\n\ns,y,x|y\n'
    from_json, from_csv = read_items(lines.encode(), "a.jsonl"), read_items(table.encode(), "a.csv")
    assert from_json == from_csv == "a" and from_json.digest == from_csv.digest
    assert {(x.task, x.question, x.answer) for x in from_json.items} == {
        ("number", "q, r", "1"),
        ("choice", "s", "B"),
    }


def test_an_answer_that_is_a_number_is_compared_as_a_number() -> None:
    """A model that explains its sum is right; text around a number is still compared whole."""
    lines = '{"question": "12 + 5", "answer": "17"}\n{"question": "Which room?", "answer": "17 b"}'
    number, words = sorted(read_items(lines.encode(), "x").items, key=lambda item: item.answer)
    assert number.task == "number" and number.right("12 + 5 = 17. The answer is 17.")
    assert words.task == "exact" and not words.right("It is 17 b.")
    for amount in ("$17", "17 apples", "17 %"):
        line = f'{{"question": "12 + 5", "answer": "{amount}"}}'
        (item,) = read_items(line.encode(), "x").items
        assert item.task == "number" and item.right("The answer is 17."), amount


def test_a_first_line_declares_for_all_and_an_option_for_files_that_declare_none() -> None:
    apples = read_items(APPLES.encode(), "apples.jsonl", scorer="exact")
    assert {item.task for item in apples.items} == {"number"} and apples.tokens is None
    lines = (
        b'{"scorer": "regex", "pattern": "[0-9]", "tokens": 99}\n'
        + b'{"question": "q", "answer": "1"}'
    )
    (item,) = read_items(lines, "x").items
    assert (item.task, item.pattern) == ("regex", "[0-9]") and read_items(lines, "x").tokens == 99
    assert read_items((Q + "}").encode(), "x", scorer="contains").items[0].task == "contains"


def test_the_name_is_that_of_the_file_or_given(tmp_path: Path) -> None:
    path = write_apples(tmp_path, "my apples (2).jsonl")
    assert own_domain(str(path)) == "my-apples-2"
    assert own_domain(f"fruit={path}") == "fruit"
    assert own_domain(f"fruit={path}").digest == own_domain(str(path)).digest
    assert own_domain(str(write_clauses(tmp_path))) == "clauses"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "b.jsonl: holds no question. A line is"),
        ("\n\nnothing", "b.jsonl: line 3: no JSON (Expecting value at character 1)."),
        ("[1]", "line 1: no object, got [1]"),
        (Q + ', "choise": 1}', "no key 'choise' is known here. Did you mean 'choices'? A line is"),
        ('{"question": "q"}', "answer is missing. A line is"),
        (
            '{"question": "q", "answer": true}',
            "answer must be a text of 1 to 2,000 characters, got",
        ),
        ('{"question": " ", "answer": "a"}', "question must be a text of 1 to 2,000 characters"),
        ('{"question": "' + 2001 * "x" + '", "answer": "a"}', "question must be a text of 1 to"),
        (Q + ', "choices": ["x", "y"]}', "the text of a choice or its letter (A to B), got 'a'"),
        (Q + ', "choices": ["a"]}', "choices must be a list of 2 to 10 texts"),
        (Q + ', "choices": ["a", "a"]}', "a choice stands there twice"),
        (Q + ', "scorer": "numbr"}', "Did you mean 'number'? Allowed: exact, number, choice"),
        (
            Q + ', "scorer": "number"}',
            "the scorer number finds nothing to compare in the answer 'a'",
        ),
        (Q + ', "scorer": "choice"}', "the item has no choices"),
        (Q + ', "scorer": "exact", "choices": ["a", "b"]}', "the item has choices"),
        (Q + ', "scorer": "regex"}', 'got \'\'. As "pattern": "answer is ([0-9]+)"'),
        (Q + ', "scorer": "regex", "pattern": "("}', "unterminated subpattern"),
        (Q + ', "scorer": "regex", "pattern": "(a)|(b)"}', "may have one group"),
        (Q + ', "scorer": "regex", "pattern": "a{e<=9}"}', "a brace that is no count"),
        (
            Q + ', "scorer": "regex", "pattern": "(?:a|aa)+$"}',
            "takes too long: a repetition inside",
        ),
        (Q + ', "scorer": "regex", "pattern": "' + 201 * "a" + '"}', "1 to 200 characters"),
        (Q + ', "scorer": "regex", "pattern": "a{101}(?:[b-d]x){0,3300}"}', "has 10003 parts"),
        (Q + ', "pattern": "a"}', "pattern belongs to the scorer regex, here it is exact"),
        (Q + '}\n{"question": "q", "answer": "b"}', "line 2: asks what line 1 asks, with another"),
        ('{"scorer": "nmber"}\n' + Q + "}", "line 1: no scorer 'nmber'"),
        ('{"tokens": 2000}\n' + Q + "}", "tokens must be"),
        ('{"question": "q", "answer": "a", "answer": "b"}', "the key 'answer' appears twice"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(InvalidValue) as error:
        read_items(text.encode(), "b.jsonl")
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"question,answr\nq,a",
            "b.csv: line 1: no key 'answr' is known here. Did you mean 'answer'",
        ),
        (b"question,question,answer\n", "line 1: a key stands there twice"),
        (
            b"question,answer\n\nq",
            "b.csv: line 3: 1 cells, and the header has 2 (question, answer)",
        ),
        (b"question,answer\nq,a\nr,", "line 3: answer is missing"),
        (b'question,answer\n"q,a', "line 2: no CSV (unexpected end of data)"),
        (b"question,answer\nq,a\nr,\xff", "b.csv: line 3: no text in UTF-8"),
        (b'question,answer\n"q\nr",a\n"s\nt"', "line 4: 1 cells"),
    ],
)
def test_a_wrong_row_of_csv_is_named(data: bytes, message: str) -> None:
    with pytest.raises(InvalidValue) as error:
        read_items(data, "b.csv")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_files_are_bounded(tmp_path: Path) -> None:
    many = "\n".join(f'{{"question": "{n}", "answer": "a"}}' for n in range(3))
    with pytest.raises(InvalidValue, match="line 3: more than 2 questions"):
        read_items(many.encode(), "b", most=2)
    with pytest.raises(InvalidValue, match="larger than 20,000,000 bytes"):
        read_items(bytes(MAX_FILE_BYTES + 1), "b")
    with pytest.raises(InvalidValue, match=r"no\.jsonl: cannot be read \(No such file.*A line is"):
        own_domain(str(tmp_path / "no.jsonl"))
    with pytest.raises(InvalidValue, match=r"not a regular file|is a directory"):
        own_domain(str(tmp_path))
    with pytest.raises(
        InvalidValue, match=r"embedded questions. Give another: --items own-math=math"
    ):
        read_items(APPLES.encode(), "math.jsonl")
