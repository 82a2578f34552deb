"""The experiments' frame: steps, the runner and its journal, the format, the page, the plots."""

import itertools
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from dppa_core.charts.plots import Axis, Chart, Heatmap, Series
from dppa_core.charts.report import Experiment, ExperimentsReport, Findings, report_json, report_of
from dppa_core.charts.svg import ticks
from dppa_core.charts.tables import Cell
from dppa_core.errors import Cancelled, InvalidRecipe, InvalidValue, OutOfBudget, UnknownName
from dppa_core.evaluation.lm_eval_harness import TaskResult
from dppa_core.evaluation.scores import Marks
from dppa_core.tasks.intervals import VariancePart, reach, student
from dppa_lab.experiments import processes
from dppa_lab.experiments.exams import best_coefficient, exam
from dppa_lab.experiments.paper import pruning
from dppa_lab.experiments.presets import preset_setting
from dppa_lab.experiments.processes import Answered, in_pool
from dppa_lab.experiments.questions import ExperimentExaminer, Question
from dppa_lab.experiments.report_page import page, pictures_of, write_page
from dppa_lab.experiments.runner import JOURNAL, RESULT, run_all
from dppa_lab.experiments.score_table import (
    Draws,
    accuracy,
    against_draws,
    compared,
    mean_retained,
    retained,
    row,
    table,
)
from dppa_lab.experiments.setting import Setting, Subject, Treatment, embedded, merged
from dppa_lab.experiments.steps import AskFunction, Declared, Steps, all_asked, one_by_one, together
from tests.helpers.command import Command

ZOO = Path(__file__).resolve().parents[2] / "assets" / "zoo"


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


# steps


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


# numbers


def marks(*hits: int) -> Marks:
    return Marks(tuple(map(bool, hits)), (1.0,) * len(hits), (2,) * len(hits))


def test_accuracies_and_retention_are_in_per_cent() -> None:
    half, whole = marks(1, 0, 1, 0), marks(1, 1, 1, 1)
    assert (accuracy(half).value, accuracy(half).n) == (50.0, 4)
    assert retained({"math": half, "law": whole}, {"math": whole, "law": whole}).value == (
        pytest.approx(100 * 0.5**0.5)
    )
    assert compared({"math": whole}, {"math": half}).difference.value == 0.5


def test_draws_have_the_variance_of_items_and_of_draws() -> None:
    """Two draws of four items, 1/2 and 0 right: by hand."""
    draws = Draws((marks(1, 1, 0, 0), marks(0, 0, 0, 0)))
    assert draws.mean == 0.25
    parts = [VariancePart((4 * 0.25**2 / 3) / 4, 3), VariancePart((2 * 0.25**2 / 1) / 2, 1)]
    for part, expected in zip(draws.parts(), parts, strict=True):
        assert part.variance == pytest.approx(expected.variance)
        assert part.freedom == expected.freedom
    gap = against_draws({"law": marks(1, 1, 1, 1)}, {"law": draws})
    assert (gap.value, gap.low) == (0.75, pytest.approx(0.75 - reach(parts)))
    assert draws.cell().note == "2 draws: 0.0–50.0"


def test_a_draw_that_is_asked_two_domains_varies_in_both_together() -> None:
    """One draw has all of both, the other none: their mean varies as much as each of them."""
    draws = Draws((marks(1, 1), marks(0, 0)))
    none = {"math": marks(0, 0), "law": marks(0, 0)}
    apart = against_draws(none, {"math": draws, "law": draws})
    joint = against_draws(none, {"math": draws, "law": draws}, together=True)
    assert apart.value == joint.value == -0.5
    assert -0.5 - joint.low == pytest.approx(student(1) * 0.5)
    assert -0.5 - apart.low == pytest.approx(student(2) * 0.5**1.5)


def test_what_several_draws_retain_has_an_interval_of_items_and_of_draws() -> None:
    unpruned = {"law": marks(*(1,) * 40)}
    half, most = {"law": marks(*(1, 0) * 20)}, {"law": marks(*(1,) * 36, *(0,) * 4)}
    cells = [retained(draw, unpruned) for draw in (half, most, half)]
    assert mean_retained([half], unpruned) == cells[0]
    mean = mean_retained([half, most, half], unpruned)
    assert mean.value == pytest.approx((50 + 90 + 50) / 3) and mean.n == 40
    errors = [(cell.high - cell.low) / 2 / 1.96 for cell in cells]  # type: ignore[operator]
    items = VariancePart(sum(error * error for error in errors) / 3, 39)
    half_width = reach([items, VariancePart((2 * 40**2 / 3 / 2) / 3, 2)])
    expected = (mean.value - half_width, mean.value + half_width)
    assert (mean.low, mean.high) == pytest.approx(expected, abs=0.01)
    assert mean.note == "3 draws: 50.0–90.0"
    assert mean_retained([half, half], {"law": marks(*(0,) * 40)}).value is None


def coefficients(hits: dict[float, tuple[int, int]], *tried: float) -> tuple[float, list[float]]:
    """The best coefficient of a merge with such answers, and all tried ones in order."""
    setting, in_order = embedded(), []

    def recipe(coefficient: float) -> Any:
        in_order.append(coefficient)
        return merged(setting, setting.subjects, Treatment("dare"), coefficients=coefficient)

    steps = best_coefficient(setting, ["law"], recipe, {"law": marks(1, 1)}, tried)
    try:
        questions = next(steps)
        while True:
            sizes = [q.target.models[0].coefficient for q in questions]  # type: ignore[attr-defined]
            answers = [replace(marks(*hits[size]), losses=(size,) * 2) for size in sizes]
            questions = steps.send(dict(zip(questions, answers, strict=True)))
    except StopIteration as end:
        return end.value, in_order


def test_the_best_coefficient_retains_most_of_the_search_items() -> None:
    """0.7 keeps all; 1.0 does too, with a larger loss; 0.5 keeps half."""
    hits = {0.5: (1, 0), 0.7: (1, 1), 1.0: (1, 1)}
    assert coefficients(hits, 0.5, 0.7, 1.0) == (0.7, [0.5, 0.7, 1.0])


def test_coefficients_further_out_are_tried_while_the_outermost_is_the_best() -> None:
    hits = {0.5: (0, 0), 1.0: (1, 0), 1.2: (1, 1), 1.44: (0, 0)}
    assert coefficients(hits, 0.5, 1.0) == (1.2, [0.5, 1.0, 1.2, 1.44])
    hits = {0.5: (1, 0), 1.0: (0, 0), 0.42: (0, 0)}
    assert coefficients(hits, 0.5, 1.0) == (0.5, [0.5, 1.0, 0.42])


class Exams(ExperimentExaminer):
    """An examiner whose harness answers at once, and counts its calls."""

    def __init__(self, *documents: float) -> None:
        super().__init__()
        self.calls = 0
        self._answer = TaskResult("piqa", "acc", 0.5, None, len(documents), True, documents)

    def harness(self, task: str, folder: str | None, limit: int | None) -> Any:
        assert (task, folder, limit) == ("piqa", None, 4)
        self.calls += 1
        return SimpleNamespace(ask=lambda resident: (self._answer,))


def test_documents_of_the_harness_are_split_and_asked_once(zoo_env: Path) -> None:
    setting = replace(embedded(test=3, search=1), subjects=(Subject("zoo:law", "lm-eval:piqa"),))
    test, search = (exam(setting, "zoo:law", "lm-eval:piqa", split) for split in ("test", "search"))
    examiner = Exams(1.0, 0.0, 1.0, 1.0)
    assert test.cached(examiner) is None
    assert test.answer(examiner).hits == (False, True, True)
    kept = search.cached(examiner)
    assert kept is not None and kept.hits == (True,) and examiner.calls == 1
    with pytest.raises(InvalidValue, match="right or wrong"):
        exam(setting, "zoo:math", "lm-eval:piqa").answer(Exams(0.25, 1.0, 0.5, 1.0))
    with pytest.raises(InvalidValue, match="1 documents"):
        exam(setting, "zoo:math", "lm-eval:piqa").answer(Exams(1.0))


# the format, the page and the plots

LINES = Chart(
    "lines",
    "Less is <less>",
    Axis("pruned", "%"),
    Axis("accuracy", "%"),
    (
        Series("DP", (0.0, 90.0), (80.0, None), (70.0, None), (90.0, None)),
        Series("DARE", (0.0, 90.0), (80.0, 20.0)),
    ),
)
BARS = replace(LINES, kind="bars", series=(Series("DP", ("math", "law"), (5.0, -5.0)),))
POINTS = replace(LINES, kind="scatter", series=(Series("DP", (1.0,), (2.0,), labels=("math",)),))
MAP = Heatmap(
    "Where", Axis("rate", "%"), Axis("strength"), Axis("gain", "points"),
    ("80", "90"), ("0", "0.08"), ((0.0, None), (-3.0, 2.0)), middle=0.0,
)  # fmt: skip


def report(*more: Cell) -> ExperimentsReport:
    rows = [
        row("math", Cell(81.25, 77.1, 84.84, 200), recipe="dppa: 1\n"),
        row("law", Cell(None, note="not asked")),
        row("finance", Cell(-3.5, -6.5, -1.0)),
        *(row("more", cell) for cell in more),
    ]
    plots = (LINES, BARS, POINTS, MAP)
    sums = table("Sums", ["domain", "kept|%"], rows)
    findings = Findings((sums,), plots, "It is so.", ("TIES: refused",))
    first = Experiment("doubles", "1", "Doubles", "How much?", "By hand.", findings)
    second = Experiment("sizes", "6b", "Sizes", "Larger?", "By size.", None, "no such models")
    setting, experiments = embedded().to_json(), (first, second)
    return ExperimentsReport("dppa reproduce", "a machine", {"torch": "2"}, setting, experiments)


def test_a_report_is_read_back_as_it_was_written() -> None:
    text = json.dumps(report_json(report()), allow_nan=False)
    assert report_of(json.loads(text)) == report()
    with pytest.raises(ValueError, match="format is 2"):
        report_of({"format": 2})


def test_what_equal_figures_leave_of_each_other_is_nothing() -> None:
    values = report_json(report(Cell(0.3 - 0.1 - 0.2, 1.00004, 1 / 3)))
    cell = values["experiments"][0]["tables"][0]["rows"][-1]["cells"][1]
    assert (cell["value"], cell["low"], cell["high"]) == (0.0, 1.0, 0.33333)


def test_the_page_has_numbers_with_intervals_and_what_was_not_run() -> None:
    text = page(report())
    assert "| math | 81.2 (77.1–84.8) |" in text and "| law | – (not asked) |" in text
    assert "| finance | −3.5 (−6.5 to −1.0) |" in text
    assert "**Not run**: no such models" in text and "**Left out.** TIES: refused" in text
    assert "![Less is <less>](experiments/doubles-1.svg)" in text


def test_every_plot_is_xml_with_its_marks(tmp_path: Path) -> None:
    stale = tmp_path / "experiments" / "gone-1.svg"
    stale.parent.mkdir()
    stale.write_text("")
    write_page(report(), tmp_path)
    assert not stale.exists()
    pictures = pictures_of(report())
    for name, text in pictures.items():
        assert (tmp_path / "experiments" / name).read_text() == text
    lines, bars, points, heatmap = map(ElementTree.fromstring, pictures.values())
    tag = "{http://www.w3.org/2000/svg}"
    assert lines.findtext(f"{tag}title") == "Less is <less>"
    # A circle in the legend and one at 0; none for a point without a number.
    assert len(lines.findall(f".//{tag}circle")) == 2
    assert len(bars.findall(f".//{tag}rect[@class='bar']")) == 1 + 2
    assert points.findtext(f".//{tag}g/{tag}title") == "math"
    assert len(heatmap.findall(f".//{tag}rect[@class='empty']")) == 1
    assert "-3" in [text.text for text in heatmap.iter(f"{tag}text")]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 100, (0, 20, 40, 60, 80, 100)), (-3, 2, (-3, -2, -1, 0, 1, 2)), (5, 5, (5, 5.2))],
)
def test_ticks_are_round_and_hold_everything(
    low: float, high: float, expected: tuple[float, ...]
) -> None:
    assert ticks(low, high)[: len(expected)] == expected
    assert ticks(low, high)[0] <= low and ticks(low, high)[-1] >= high


# settings and the command


def test_a_set_of_ones_own_is_a_file_and_each_model_has_a_domain(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: ./base\nmodels:\n  - {model: ./math}\n")
    assert "--tasks" in preset_setting(str(path)).hindrance
    setting = preset_setting(str(path), tasks=["law"], test=9)
    assert (setting.base, setting.subjects) == ("./base", (Subject("./math", "law"),))
    assert not setting.hindrance
    assert preset_setting(str(path), lm_eval=["piqa"]).subjects[0].name == "piqa"
    with pytest.raises(InvalidValue, match="names 2"):
        preset_setting(str(path), tasks=["law", "math"])
    with pytest.raises(UnknownName):
        preset_setting(str(path), tasks=["lew"])
    path.write_text("base: ./base\nmodels: [./math]\n")
    with pytest.raises(InvalidRecipe, match="mine.yaml: a set of models"):
        preset_setting(str(path))


def test_a_set_of_the_hub_tells_why_it_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert "gated" in preset_setting("llama-2-7b").hindrance
    monkeypatch.setattr("dppa_core.system.machine.free_disk", lambda _folder: 1 << 30)
    assert "too large" in preset_setting("qwen2.5-1.5b", tasks=["math", "law"]).hindrance


def test_a_set_larger_than_memory_is_run_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dppa_core.system.machine.available_memory", lambda: 1 << 30)
    monkeypatch.setattr("dppa_core.system.machine.free_disk", lambda _folder: 1 << 40)
    assert not preset_setting("qwen2.5-1.5b", tasks=["math", "law"]).hindrance


def test_the_command_lists_experiments_and_wants_one_named(dppa: Command) -> None:
    assert dppa("reproduce", "--list", "--json") == 0
    assert dppa.json[0]["key"] == "pruning"
    assert dppa("reproduce") == 1 and "--all" in dppa.err
    assert dppa("reproduce", "prunning") == 1 and "'pruning'" in dppa.err


@pytest.fixture
def arguments(
    tmp_path: Path, one_torch_thread: None, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, ...]:
    """Prunes the embedded law model as a user's set, two items for each model."""
    monkeypatch.setattr(pruning, "RATES", (0.8, 0.9))
    monkeypatch.setattr(pruning, "DRAWS", 1)
    path = tmp_path / "mine.yaml"
    path.write_text(f"base: {ZOO / 'base'}\nmodels:\n  - model: {ZOO / 'law'}\n")
    options = ("--preset", path, "--tasks", "law", "--limit", 2, "--workers", 1)
    return ("reproduce", "pruning", *options)


@pytest.mark.long
def test_a_set_larger_than_the_budget_gives_the_same_figures(
    dppa: Command, tmp_path: Path, arguments: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    for memory in ("8MB", "1GB"):
        monkeypatch.setenv("DPPA_CACHE", str(tmp_path / memory))
        assert dppa(*arguments, "--json", "--memory", memory, "--out", tmp_path / memory) == 0
        runs.append(dppa.json["experiments"][0])
    spread, whole = runs
    assert spread["known"] == whole["known"] == 0, "each budget asks for itself"
    assert spread["tables"] == whole["tables"]


@pytest.mark.long
def test_real_models_are_asked_once_and_a_second_run_asks_nothing(
    dppa: Command, tmp_path: Path, arguments: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (*arguments, "--out", tmp_path / "out")
    assert dppa(*arguments) == 0
    assert "pruning 6/6: law by dare 90 %: law, test" in dppa.err
    first = json.loads((tmp_path / "out" / RESULT).read_text())
    (experiment,) = first["experiments"]
    assert experiment["answers"] == 7 and experiment["known"] == 0
    assert experiment["seconds"]["processor"] > 0
    assert f"base: {ZOO / 'base'}" in experiment["tables"][0]["rows"][1]["recipe"]
    assert dppa(*arguments, "--json") == 0
    assert dppa.err == "" and dppa.json["seconds"]["processor"] == first["seconds"]["processor"]
    assert (tmp_path / "out" / "experiments" / "pruning-1.svg").exists()
    monkeypatch.setattr(pruning, "RATES", (0.8, 0.9, 0.95))
    assert dppa(*arguments, "--no-ask", "--json") == 0
    (experiment,) = dppa.json["experiments"]
    assert "at least 3 answers" in experiment["not_run"]
    assert (experiment["answers"], experiment["known"]) == (1, 0), "the unanswered cost nothing"


def test_a_model_that_answers_nothing_of_its_domain_is_told(
    dppa: Command, zoo_env: Path, tmp_path: Path, one_torch_thread: None
) -> None:
    path = tmp_path / "random.yaml"
    path.write_text(f"base: {zoo_env / 'base'}\nmodels:\n  - model: {zoo_env / 'law'}\n")
    options = ("--preset", path, "--tasks", "law", "--limit", 2, "--workers", 1)
    assert dppa("reproduce", "pruning", "pair", *options, "--out", tmp_path / "out", "--json") == 1
    first, pair = dppa.json["experiments"]
    assert "itself answers none of the 2 test items of law" in first["not_run"]
    assert pair["not_run"] == "a merge needs at least two domain models"
