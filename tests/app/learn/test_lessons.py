"""Every lesson can be read and shown; errors in a lesson are named."""

import json
import re
import threading
import time

import pytest

from components.learn import block_queue
from components.learn.block_queue import BlockQueue
from components.learn.blocks.deltas import difference
from components.learn.blocks.quiz import Quiz
from components.learn.blocks.registry import BLOCKS
from components.learn.learn import (
    FOLDER,
    LessonServer,
    catalogue_json,
    five_questions,
    lesson_json,
    lessons,
    number,
    read_requests,
)
from components.learn.lesson_text import Attempt, Placed, read_lesson
from components.session.presets import first_session
from components.session.shipped import glossary
from components.widgets.scripts import sources
from components.work.studio import Studio
from dppa_core.errors import DppaError, InvalidValue, OutOfBudget, UnknownName
from dppa_core.tasks.intervals import wilson

FRONT = "---\ntitle: T\nabout: A\npart: Lessons\nsources: []\n---\n"
NUMBERS = "\n```numbers b\n{}\n```\n"
NUMBERED = [lesson.name for lesson in lessons().values() if lesson.part == "Lessons"]
QUIZ = "```quiz\nask: Q?\nchoices:\n- {text: a, why: b, right: true}\n- {text: c, why: d}\n```\n"


@pytest.mark.parametrize("name", lessons())
def test_a_lesson_has_all_that_belongs_to_it(name: str) -> None:
    lesson = lessons()[name]
    drawn = set(re.findall(r'^block\("([\w-]+)"', "\n".join(sources().values()), re.MULTILINE))
    assert {block.name for block in lesson.blocks} <= BLOCKS.keys()
    assert {block.name for block in lesson.blocks if block.seen} <= drawn
    assert lesson.sources
    page = json.dumps(lesson_json(name))
    assert set(re.findall(r'data-term=\\"([^"]*)\\"', page)) <= glossary().keys()
    assert set(re.findall(r'data-lesson=\\"([^"]*)\\"', page)) <= lessons().keys()


@pytest.mark.parametrize("name", NUMBERED)
def test_a_lesson_has_a_plot_a_trial_and_questions(name: str) -> None:
    lesson = lessons()[name]
    assert any(block.seen for block in lesson.blocks)
    assert any(isinstance(part, Attempt) for part in lesson.segments)
    assert 2 <= len(lesson.quizzes) <= 3


def test_time_is_of_words_actions_and_plots() -> None:
    """200 words a minute, 15 s an action, 30 s a plot."""
    exercise = f"```try\n{'word ' * 50}\n---\n{'word ' * 46}\n```\n"
    text = f"{'*word* ' * 100}\n\n```block b\n{{}}\n```\n{NUMBERS}{exercise}{QUIZ}"
    minutes = read_lesson("x", FRONT + text.replace("numbers b", "numbers c")).minutes
    assert minutes == pytest.approx(201 / 200 + 0.5 + 0.5)
    assert read_lesson("x", FRONT + "```block by-hand\n{}\n```\n").minutes == 8 * 0.75


def test_all_lessons_take_an_hour_at_most_and_the_comparison_400_words() -> None:
    assert lessons()["comparison"].words <= 400
    assert sum(lesson.minutes for lesson in lessons().values()) <= 60
    assert all(1 <= entry["minutes"] <= 10 for entry in catalogue_json()["lessons"])


def lengths(quiz: Quiz) -> tuple[int, int]:
    """Letters of the right choice, and of the longest wrong one."""
    of = {
        right: max(
            len(re.sub("<[^>]*>", "", choice.html))
            for choice in quiz.choices
            if choice.right == right
        )
        for right in (True, False)
    }
    return of[True], of[False]


def test_the_length_of_a_choice_does_not_give_the_answer_away() -> None:
    quizzes = [quiz for lesson in lessons().values() for quiz in lesson.quizzes]
    for quiz in quizzes:
        right, wrong = lengths(quiz)
        assert right <= 1.15 * wrong, quiz.html
    longest = sum(right > wrong for right, wrong in map(lengths, quizzes))
    assert longest <= 0.4 * len(quizzes)


def test_the_catalogue_names_every_file_once() -> None:
    listed = catalogue_json()
    assert len(listed["lessons"]) == len(list(FOLDER.glob("*.md")))
    assert listed["glossary"]["delta"]


def test_lessons_are_called_by_the_numbers_they_have() -> None:
    assert [number(name) for name in ("delta", "open", "by-hand")] == [1, 9, None]
    for path in FOLDER.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        for digits, name in re.findall(r"\[lesson (\d+)\]\(lesson:([\w-]+)\)", text):
            assert number(name) == int(digits), path
    assert number("comparison") == 8 and number("delta") == 1  # named without a link


def test_markup_in_a_lesson_stays_text() -> None:
    lesson = read_lesson(
        "x", FRONT + "a <b onclick=x> [t](term:delta) [u](javascript:x) `=b.k`\n" + NUMBERS
    )
    html = lesson.segments[0].html  # type: ignore[union-attr]
    assert "80\u202f%" in read_lesson("x", FRONT + "At 80 %").segments[0].html  # type: ignore[union-attr]
    assert "<b " not in html and "href" not in html and 'data-term="delta"' in html
    assert 'data-figure="b.k"' in html


def test_a_number_in_the_text_needs_its_block() -> None:
    good = read_lesson("x", FRONT + NUMBERS + "`=b.k|percent`\n" + QUIZ)
    assert good.blocks == (Placed("b", {}, seen=False),) and good.quizzes[0].choices[0].right


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no front matter", "begins with front matter"),
        ("---\ntitle: T\n---\n", "missing"),
        (FRONT.replace("sources: []", "sources: [{title: x}]"), "arxiv or url"),
        (FRONT.replace("title: T", "title: ["), "not YAML"),
        (FRONT + "`=b.k|percent`", "no such block"),
        (FRONT + "`=b.k|bold`", "FORMAT one of"),
        (FRONT + "```block\n{}\n```", "written ```block NAME"),
        (FRONT + "```block b\n{\n```", "block b: its arguments are JSON"),
        (FRONT + "```block b\n[]\n```", "must be a mapping"),
        (FRONT + "```block b\n{}\n```\n" * 2, "twice"),
        (FRONT + "```try\nno notice\n```", "a line --- separates"),
        (FRONT + QUIZ.replace(", right: true", ""), "exactly one choice"),
        (FRONT + QUIZ.replace(", why: d", ""), "text, why"),
        (FRONT + QUIZ.replace("ask: Q?\n", ""), "ask and choices"),
    ],
)
def test_what_is_wrong_in_a_lesson_is_named(text: str, says: str) -> None:
    with pytest.raises(InvalidValue, match=f"^Lesson x: .*{re.escape(says)}"):
        read_lesson("x", text)


# --- what the page asks ---


def ask(studio: Studio, *asks: dict[str, object]) -> dict[str, dict[str, object]]:
    sent = json.dumps({"id": 7, "asks": [{"key": str(i), **row} for i, row in enumerate(asks)]})
    server = LessonServer(studio)
    while True:
        reply = server.payload(sent, first_session())
        assert reply["id"] == 7
        if not any("pending" in answer for answer in reply["answers"].values()):
            return reply["answers"]


def test_what_cannot_be_answered_spoils_nothing_else(studio: Studio) -> None:
    answers = ask(
        studio,
        {"what": "catalogue"},
        {"what": "lesson", "name": "delta"},
        {"what": "lesson", "name": "nothing"},
        {"what": "block", "name": "nothing"},
        {"what": "block", "name": "delta-excerpt", "arguments": {"model": "zoo:else"}},
        {"what": "block", "name": "delta-excerpt", "arguments": [1]},
        {"what": "block", "name": "interval-width", "arguments": {"share": 7}},
        {"what": "block", "name": "delta-excerpt", "arguments": {"model": "zoo:law"}},
    )
    kinds = [next(iter(answer)) for answer in answers.values()]
    assert kinds == ["value"] * 2 + ["error"] * 5 + ["value"]
    assert "not in the list of models" in str(answers["4"]["error"])


@pytest.mark.parametrize(
    "sent",
    ["", "null", "{}", '{"id":1,"asks":[]}', '{"id":1,"asks":[{"key":"a"}]}']
    + ['{"id":1,"asks":[{"key":"a","what":"block","name":3}]}', '{"id":true,"asks":[{}]}']
    + ['{"id":1,"asks":[{"key":"a","what":"block","name":"b","arguments":{"share":NaN}}]}'],
)
def test_what_a_browser_sends_is_checked(sent: str) -> None:
    with pytest.raises(InvalidValue, match="unreadable"):
        read_requests(sent)


# --- the queue ---


def test_what_many_ask_is_computed_once() -> None:
    queue, begun, go = BlockQueue(threading.Event(), 1), [], threading.Event()

    def make(work: block_queue.BlockWork) -> str:
        begun.append(1)
        work.show("a half")
        work.progress(1, 2, "half")
        assert go.wait(10)
        return "done"

    while queue.ask("k", make, 0.01) != {"pending": [1, 2, "half"], "shown": "a half"}:
        assert len(begun) < 2
    go.set()
    assert queue.ask("k", make, 10) == queue.ask("k", make) == {"value": "done"}
    assert begun == [1]


def test_work_nobody_wants_any_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, ended = BlockQueue(threading.Event(), 1), threading.Event()

    def make(work: block_queue.BlockWork) -> None:
        while not work.is_set():
            time.sleep(0.001)
        ended.set()

    queue.ask("k", make, 0.01)
    monkeypatch.setattr(block_queue, "ABANDONED_SECONDS", 0.0)
    assert ended.wait(10)


def test_an_error_is_told_and_the_next_one_tries_again() -> None:
    queue, tries = BlockQueue(threading.Event(), 1), []

    def make(_work: block_queue.BlockWork) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise UnknownName("no such thing")
        return "there"

    with pytest.raises(DppaError, match="no such thing"):
        queue.ask("k", make, 10)
    assert queue.ask("k", make, 10) == {"value": "there"}


def test_only_so_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_queue, "MAX_UNFINISHED", 1)
    queue, go = BlockQueue(threading.Event(), 1), threading.Event()
    queue.ask("a", lambda _work: go.wait(10), 0.01)
    with pytest.raises(OutOfBudget, match="Try again"):
        queue.ask("b", lambda _work: 1, 0.01)
    go.set()


def test_one_party_has_half_of_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_queue, "MAX_UNFINISHED", 4)
    queue, go = BlockQueue(threading.Event(), 1), threading.Event()

    def ask(key: str, party: str) -> None:
        queue.ask(key, lambda _work: go.wait(10), 0.01, party=party)

    ask("a", "hostile")
    ask("b", "hostile")
    with pytest.raises(OutOfBudget):
        ask("c", "hostile")
    ask("d", "honest")
    go.set()


def test_a_party_never_has_all_threads() -> None:
    """One lesson used to wait 87 s behind another visitor's twelve."""
    queue, go = BlockQueue(threading.Event(), 2), threading.Event()
    running, most = list[int](), list[int]()

    def slow(_work: block_queue.BlockWork) -> str:
        running.append(1)
        most.append(len(running))
        go.wait(10)
        running.pop()
        return "slow"

    for key in ("a", "b", "c"):
        queue.ask(key, slow, 0.01, party="hostile")
    assert queue.ask("d", lambda _work: "there", 10, party="honest") == {"value": "there"}
    go.set()
    for key in ("a", "b", "c"):
        assert queue.ask(key, slow, 10, party="hostile") == {"value": "slow"}
    assert max(most) == 1


def test_ones_own_copy_has_all_threads() -> None:
    queue, both = BlockQueue(threading.Event(), 2), threading.Barrier(2, timeout=10)
    for key in ("a", "b"):
        queue.ask(key, lambda _work: both.wait(), 0.01)
    assert all("value" in queue.ask(key, lambda _work: 1, 10) for key in ("a", "b"))


def test_so_many_wait_for_lessons_and_others_are_told_at_once() -> None:
    """Each holds a thread: one client with ten requests a second took all."""
    queue, go = BlockQueue(threading.Event(), 1), threading.Event()

    def asks() -> None:
        queue.ask("k", lambda _work: go.wait(10), 5)

    waiting = [threading.Thread(target=asks) for _ in range(block_queue.MAX_WAITING_REQUESTS)]
    for thread in waiting:
        thread.start()
    while queue._waiting._value:
        time.sleep(0.001)
    begun = time.monotonic()
    assert "pending" in queue.ask("k", lambda _work: None, 5)
    assert time.monotonic() - begun < 2
    go.set()
    for thread in waiting:
        thread.join(10)


# --- blocks ---


def test_a_difference_holds_of_the_digits_that_are_shown() -> None:
    # To four digits 0.0986 - 0.0591 = 0.0396 would be shown, which is 0.0395.
    assert difference(0.09863281, 0.05908203, 0.03955078) == ("0.09863", "0.05908", "0.03955")
    assert difference(-1e-9, 0.2, -0.2) == ("0.0000", "0.2000", "\u22120.2000")


@pytest.mark.parametrize(
    ("model", "weights", "mlp", "all_of_them"),
    [
        ("Llama 2 7B", 6_476_005_376, 2 / 3, 6_738_415_616),
        ("Llama 3 8B", 6_979_321_856, 4 / 5, 8_030_261_248),
    ],
)
def test_published_shapes_hold_as_many_weights_as_published(
    studio: Studio, model: str, weights: int, mlp: float, all_of_them: int
) -> None:
    (reply,) = ask(
        studio, {"what": "block", "name": "matrix-counts", "arguments": {"of": model}}
    ).values()
    figures = reply["value"]["figures"]  # type: ignore[index]
    assert figures["weights"] == weights
    assert figures["weights"] + figures["others"] == all_of_them
    assert figures["mlp"] == pytest.approx(mlp, abs=0.01)  # as the lesson says


def test_intervals_are_as_wide_as_the_lesson_says() -> None:
    def width(share: float, n: int) -> float:
        low, high = wilson(round(share * n), n)
        return high - low

    assert width(0.95, 80) == pytest.approx(0.1, abs=0.005)
    assert width(0.5, 380) == pytest.approx(0.1, abs=0.005)
    assert width(0.5, 400) / width(0.5, 100) == pytest.approx(0.5, abs=0.02)
    assert width(41 / 50, 50) > 0.2 < width(39 / 50, 50)


def test_results_are_as_the_lessons_say(studio: Studio) -> None:
    board = ask(studio, {"what": "block", "name": "leaderboard"})["0"]["value"]
    kept = {row["method"]: row["retention"] for row in board["rows"]}  # type: ignore[index]
    assert kept["task_arithmetic"] > kept["dppa"] > kept["dare"] < kept["magnitude"]
    replies = {
        key: ask(studio, {"what": "block", "name": "open-question", "arguments": {"key": key}})["0"]
        for key in ("beyond", "significance")
    }
    beyond, ranked = (reply["value"] for reply in replies.values())
    dp, dppa = beyond["plot"]["series"]  # type: ignore[index]
    assert [low > 0 for low in dppa["low"][:4]] == [False, True, True, True], "ahead from 85 % on"
    assert [high < 0 for high in dp["high"][:4]] == [False, True, True, True], "and DP behind"
    for rate in ranked["plot"]["series"]:  # type: ignore[index]
        kept = dict(zip(rate["x"], rate["y"], strict=True))
        assert kept["fisher"] < kept["magnitude"] < kept["activation"]


def test_the_five_questions_have_one_right_option_that_no_length_tells() -> None:
    assert len(five_questions()) == 5
    for quiz in five_questions():
        lengths = [len(choice.html) for choice in quiz.choices]
        assert max(lengths) - min(lengths) <= 6, quiz.html
    places = {[choice.right for choice in quiz.choices].index(True) for quiz in five_questions()}
    assert places == {0, 1, 2}
