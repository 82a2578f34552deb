"""Runs experiments: answers each question once, keeps a journal of costs, writes the results.

Answers of all earlier runs are reused, so the same command resumes a stopped run.
"""

from __future__ import annotations

import json
import platform
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dppa_core.charts.report import Cost, Experiment, ExperimentsReport, Findings, report_json
from dppa_core.errors import Cancelled, DppaError, OutOfBudget
from dppa_core.system.atomic_folders import replace_file, unwritable
from dppa_core.system.threads import available_cores
from dppa_lab.experiments.processes import Workers
from dppa_lab.experiments.questions import Answers, ExperimentExaminer, Question
from dppa_lab.experiments.score_table import lasting
from dppa_lab.experiments.setting import Setting
from dppa_lab.experiments.steps import Declared

RESULT, JOURNAL = "experiments.json", "journal.jsonl"
PACKAGES = ("torch", "transformers", "numpy")
Say = Callable[[str], None]


class Journal:
    """The journal of a folder, a JSON object a line: the processor seconds of an answer, or the
    wall seconds of an experiment's run. A truncated line is ignored.

    Raises:
        InvalidValue: it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._answers: dict[str, tuple[str, float]] = {}
        self._walls: dict[str, float] = {}
        try:
            lines = path.read_text("utf-8").splitlines() if path.exists() else []
        except OSError as error:
            raise unwritable(path, error) from error
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):
                self._take(json.loads(line))

    def answered(self, experiment: str, key: str, processor: float) -> None:
        """Record an answer; `processor` in seconds."""
        self._write({"experiment": experiment, "answer": key, "processor": round(processor, 3)})

    def worked(self, experiment: str, wall: float) -> None:
        """Record some more seconds of an experiment's run."""
        self._write({"experiment": experiment, "wall": round(wall, 3)})

    def cost(self, experiment: str, keys: Iterable[str]) -> Cost:
        """Cost of an experiment in all runs; an answer counts for the first that asked for it."""
        answered = set(keys)
        costs = [self._answers[key] for key in answered if key in self._answers]
        processor = sum(seconds for first, seconds in costs if first == experiment)
        wall = self._walls.get(experiment, 0.0)
        return Cost(processor, wall, len(answered), len(answered) - len(costs))

    def _write(self, line: dict[str, Any]) -> None:
        self._take(line)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise unwritable(self._path, error) from error

    def _take(self, line: dict[str, Any]) -> None:
        name = str(line["experiment"])
        if "answer" in line:
            self._answers.setdefault(str(line["answer"]), (name, float(line["processor"])))
        else:
            self._walls[name] = self._walls.get(name, 0.0) + float(line["wall"])


class Runner:
    """Runs experiments one after the other; `say` gets a line on each answer."""

    def __init__(
        self, setting: Setting, out: Path, workers: Workers, say: Say = lambda text: None
    ) -> None:
        self._setting, self._workers, self._say = setting, workers, say
        self._journal = Journal(out / JOURNAL)
        self._examiner = ExperimentExaminer()  # for looking answers up
        self._collected: dict[Question[Any], Any] = {}
        self._keys: dict[Question[Any], str] = {}

    def run(self, declared: Declared) -> Experiment:
        """Run one experiment; the result gives the reason if it cannot be run.

        Raises:
            Cancelled: stopped.
            OutOfBudget: a worker process died.
        """
        why = self._setting.hindrance or declared.wants(self._setting)
        begun, keys, findings = time.monotonic(), set[str](), None
        if not why:
            try:
                findings = self._followed(declared, keys)
            except (Cancelled, OutOfBudget):
                raise
            except DppaError as error:
                why = str(error)
            finally:
                self._journal.worked(declared.key, time.monotonic() - begun)
        return Experiment(
            declared.key,
            declared.number,
            declared.title,
            declared.question,
            declared.measured_on(self._setting),
            findings,
            why,
            self._journal.cost(declared.key, keys),
        )

    def _followed(self, declared: Declared, keys: set[str]) -> Findings:
        """Follow the steps of an experiment to their end; adds the keys of its questions."""
        steps = declared.steps(self._setting)
        try:
            questions = next(steps)
            while True:
                answers = self._answers(declared.key, questions)
                keys.update(self._key(question) for question in questions)
                questions = steps.send(answers)
        except StopIteration as end:
            findings: Findings = end.value
            return findings

    def _answers(self, experiment: str, questions: Sequence[Question[Any]]) -> Answers:
        """The answers to some questions, collected before, cached or asked now."""
        waiting = []
        for question in dict.fromkeys(questions):
            if question not in self._collected:
                kept = question.cached(self._examiner)
                if kept is None:
                    waiting.append(question)
                else:
                    self._collected[question] = kept
        # Ask those that no cache has; the pace so far tells how long the rest takes.
        begun = time.monotonic()
        for count, answered in enumerate(self._workers(waiting), 1):
            self._collected[answered.question] = answered.answer
            self._journal.answered(experiment, self._key(answered.question), answered.processor)
            left = (time.monotonic() - begun) / count * (len(waiting) - count)
            self._say(
                f"{experiment} {count}/{len(waiting)}: {answered.question.label()}, "
                f"{answered.processor:.1f} s"
                + (f"; {lasting(left)} left of these {len(waiting)}" if left >= 1 else "")
            )
        return {question: self._collected[question] for question in questions}

    def _key(self, question: Question[Any]) -> str:
        if question not in self._keys:
            self._keys[question] = question.key()
        return self._keys[question]


def run_all(
    experiments: Sequence[Declared],
    setting: Setting,
    out: Path,
    workers: Workers,
    command: str,
    say: Say = lambda text: None,
) -> ExperimentsReport:
    """The report on some experiments; rewrites the file in `out` after each of them.

    Raises:
        InvalidValue: the folder cannot be written.
        Cancelled: stopped; the journal and all answers are kept.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    runner = Runner(setting, out, workers, say)
    report = ExperimentsReport(command, machine(), versions(), setting.to_json(), ())
    for place, experiment in enumerate(experiments, 1):
        title = f"{experiment.number} {experiment.title}"
        say(f"{place} of {len(experiments)}: {title}")
        ended = runner.run(experiment)
        report = replace(report, experiments=(*report.experiments, ended))
        text = json.dumps(report_json(report), allow_nan=False, indent=1, ensure_ascii=False)
        replace_file(out / RESULT, text + "\n")
        took = f"done, {lasting(ended.cost.processor)} of processor"
        say(f"{title}: {'not run' if ended.not_run else took}")
    return report


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect the results."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def machine() -> str:
    """The processor, how many cores this process may use, and the system."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        text = ""
    name = re.search(r"^model name.*?: *(.*?) *$", text, re.MULTILINE)
    processor = name[1] if name else platform.processor() or "unknown processor"
    return f"{processor}, {available_cores()} cores, {platform.system()} {platform.machine()}"
