"""Steps of experiments, and the runner with its journal."""

import itertools
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from dppa_core.charts.report import (
    Findings,
    report_of,
)
from dppa_core.errors import (
    Cancelled,
    InvalidRecipe,
    OutOfBudget,
)
from dppa_lab.experiments import processes
from dppa_lab.experiments.processes import Answered, in_pool
from dppa_lab.experiments.questions import ExperimentExaminer, Question
from dppa_lab.experiments.runner import JOURNAL, RESULT, run_all
from dppa_lab.experiments.score_table import (
    row,
    table,
)
from dppa_lab.experiments.setting import Setting, embedded
from dppa_lab.experiments.steps import (
    AskFunction,
    Declared,
    Steps,
    all_asked,
    one_by_one,
    together,
)


@dataclass(frozen=True)
class Double:
    """A question about a number; its answer is twice that."""

    number: int
    kept: bool = False
    """Whether its answer is in a cache."""

    def key(self) -> str:
        return f"double-{self.number}"

    def cached(self, examiner: ExperimentExaminer) -> int | None:
        return 2 * self.number if self.kept else None

    def answer(self, examiner: ExperimentExaminer) -> int:
        return 2 * self.number

    def label(self) -> str:
        return f"twice {self.number}"


DOUBLES = [Double(1), Double(2), Double(3)]


class Counting:
    """Answers at once, each for three seconds; records the numbers asked."""

    def __init__(self, ends_after: int = 99) -> None:
        self.numbers: list[int] = []
        self._ends_after = ends_after

    def __call__(self, questions: Sequence[Question[Any]]) -> Iterator[Answered]:
        for question in questions:
            if len(self.numbers) == self._ends_after:
                raise Cancelled("Stopped before the end, as asked.")
            self.numbers.append(question.number)  # type: ignore[attr-defined]
            yield Answered(question, question.answer(ExperimentExaminer()), 3.0)


def driven(steps: Steps[Any], rounds: list[int]) -> Any:
    """The result of steps; notes how many questions each round had."""
    try:
        questions = next(steps)
        while True:
            rounds.append(len(questions))
            questions = steps.send({q: q.answer(ExperimentExaminer()) for q in questions})
    except StopIteration as end:
        return end.value


def doubled(*numbers: int, kept: Sequence[int] = ()) -> Steps[int]:
    """Twice the sum, asked number by number."""
    total = 0
    for number in numbers:
        question = Double(number, number in kept)
        total += (yield from all_asked({"": question}))[""]
    return total


def declared(
    *numbers: int, key: str = "doubles", fails: bool = False, kept: Sequence[int] = ()
) -> Declared:
    def steps(setting: Setting) -> Steps[Findings]:
        total = yield from doubled(*numbers, kept=kept)
        if fails:
            raise InvalidRecipe("fisher wants a text.")
        return Findings((table("Sums", ["sum"], [row(float(total))]),), ())

    return Declared(key, "1", "Doubles", "How much?", "{test} test, {search} search items.", steps)


def run(
    experiments: Sequence[Declared], out: Path, workers: Counting | None = None, **changes: Any
) -> list[Any]:
    setting = replace(embedded(), **changes)
    report = run_all(experiments, setting, out, workers or Counting(), "dppa reproduce --all")
    return list(report.experiments)


def test_steps_taken_together_hand_out_their_questions_together() -> None:
    rounds: list[int] = []
    steps = {"long": doubled(1, 2, 3), "short": doubled(1), "own": doubled(1, 2, 3)}
    assert driven(together(steps), rounds) == {"long": 12, "short": 2, "own": 12}
    assert rounds == [1, 1, 1], "equal questions are asked once"


def test_plain_code_is_asked_on_with_what_it_knows() -> None:
    def code(ask: AskFunction) -> int:
        number = 1
        while number < 20:
            number = ask(Double(number))
        return number

    rounds: list[int] = []
    assert driven(one_by_one(code), rounds) == 32
    assert rounds == [1] * 5


# the runner


def test_a_stopped_run_goes_on_and_adds_up_what_both_took(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        run([declared(1, 2, 3, 4)], tmp_path, Counting(ends_after=2))
    assert not (tmp_path / RESULT).exists()

    counting = Counting()
    (experiment,) = run([declared(1, 2, 3, 4, kept=(1, 2))], tmp_path, counting)
    assert counting.numbers == [3, 4]
    cost = experiment.cost
    assert (cost.processor, cost.answers, cost.known) == (12.0, 4, 0)
    assert report_of(json.loads((tmp_path / RESULT).read_text())).experiments[0].findings


def test_what_no_journal_knows_is_said_to_be_unknown(tmp_path: Path) -> None:
    (experiment,) = run([declared(1, 2, 3, 4, kept=(1, 2))], tmp_path)
    assert (experiment.cost.processor, experiment.cost.known) == (6.0, 2)


def test_a_question_of_two_experiments_is_asked_and_counted_once(tmp_path: Path) -> None:
    counting = Counting()
    first, second = run([declared(1, 2), declared(2, 3, key="more")], tmp_path, counting)
    assert counting.numbers == [1, 2, 3]
    assert (first.cost.processor, second.cost.processor, second.cost.answers) == (6.0, 3.0, 2)


def test_it_tells_which_of_how_many_and_how_long_the_answers_wanted_now_still_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every look at the clock is half a minute after the one before."""
    clock = itertools.count(0, 30)
    monkeypatch.setattr("dppa_lab.experiments.runner.time.monotonic", lambda: next(clock))

    def steps(setting: Setting) -> Steps[Findings]:
        yield DOUBLES
        return Findings((), ())

    lines: list[str] = []
    experiments = [replace(declared(), steps=steps), declared(9, key="more")]
    run_all(experiments, embedded(), tmp_path, Counting(), "dppa reproduce", lines.append)
    assert lines == [
        "1 of 2: 1 Doubles",
        "doubles 1/3: twice 1, 3.0 s; 60 s left of these 3",
        "doubles 2/3: twice 2, 3.0 s; 30 s left of these 3",
        "doubles 3/3: twice 3, 3.0 s",
        "1 Doubles: done, 9 s of processor",
        "2 of 2: 1 Doubles",
        "more 1/1: twice 9, 3.0 s",
        "1 Doubles: done, 3 s of processor",
    ]


def test_what_stands_in_the_way_is_told_and_the_next_is_run(tmp_path: Path) -> None:
    refused = replace(declared(key="refused"), wants=lambda setting: "no such domain")
    experiments = [refused, declared(1, key="fails", fails=True), declared(1)]
    unwanted, failed, ran = run(experiments, tmp_path)
    assert (unwanted.not_run, unwanted.findings) == ("no such domain", None)
    assert (failed.not_run, failed.findings) == ("fisher wants a text.", None)
    assert ran.findings.tables[0].rows[0].cells[0].value == 2
    assert ran.measured == "200 test, 64 search items."


def test_a_set_that_cannot_be_run_here_runs_nothing(tmp_path: Path) -> None:
    counting, out = Counting(), tmp_path / "of" / "mine"
    (experiment,) = run([declared(1)], out, counting, hindrance="it is gated")
    assert (out / RESULT).exists()
    assert experiment.not_run == "it is gated" and not counting.numbers


def test_a_line_that_a_kill_cut_short_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text(
        '{"experiment": "doubles", "wall": 60}\n{"experiment": "doubles", "wal'
    )
    (experiment,) = run([declared(1)], tmp_path)
    assert 60 <= experiment.cost.wall < 70


def test_several_workers_answer_everything_and_end_where_they_are_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Processes are replaced by threads, which start at once."""
    stop = Event()
    monkeypatch.setattr(processes, "_examiners", [ExperimentExaminer(stop)])
    with ThreadPoolExecutor(2) as pool:
        answers = {answered.question: answered.answer for answered in in_pool(pool, DOUBLES)}
        assert answers == {question: 2 * question.number for question in DOUBLES}
        stop.set()
        with pytest.raises(Cancelled):
            list(in_pool(pool, DOUBLES))


def test_a_worker_that_is_gone_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(question: object) -> None:
        raise BrokenProcessPool("killed")

    monkeypatch.setattr(processes, "_in_worker", killed)
    with ThreadPoolExecutor(1) as pool, pytest.raises(OutOfBudget, match="--workers"):
        list(in_pool(pool, DOUBLES))
