"""Tasks of lm-evaluation-harness (the package `lm_eval`, an extra) on a model in memory.

Task files may contain code (`!function`), which runs here: only the command line may choose them,
never a page.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.vocabulary.render import rendered_chat
from dppa_core.errors import InvalidValue, UnknownName, closest, many
from dppa_core.models.resident import Resident
from dppa_core.system.error_translation import ForeignCode
from dppa_core.tasks.intervals import Interval, mean_interval, wilson

SEED = 1234
"""Seed of few-shot examples; the harness's own default."""
TOGETHER = 16
_FORMAT = 1  # change it when the same tasks would be asked differently
_USUAL = (
    "A mistake in a task file, or data that has to be fetched while the network is away, is the "
    "usual cause."
)


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One metric of one task."""

    task: str
    metric: str
    """The harness's name, then its filter after a comma unless that is "none"."""
    value: float
    ci95: tuple[float, float] | None
    """Wilson's for shares, the bootstrap's for other means over documents; else None."""
    n: int
    higher_is_better: bool | None
    each: tuple[float, ...]
    """Value of each document; empty if the metric is not their mean."""


def task_files(folder: Path | None) -> str:
    """A hash of the package versions and of all files in a task folder."""
    digest = hashlib.sha256(f"{_FORMAT} {TOGETHER} {SEED}".encode())
    for name in ("lm_eval", "datasets") if find_spec("lm_eval") else ():
        digest.update(f"{name} {version(name)}".encode())
    files = [] if folder is None else [one for one in folder.rglob("*") if one.is_file()]
    for path in sorted(one for one in files if "__pycache__" not in one.parts):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder or path)} {content}".encode())
    return digest.hexdigest()


class Harness:
    """The requested tasks, found and read once.

    Args:
        names: Tasks, or groups of tasks.
        folder: The user's task files; the harness's own if None.
        limit: Documents per task; all if None.

    Raises:
        InvalidValue: the package is not installed, or the folder does not exist.
        UnknownName: no such task.
        DamagedCheckpoint: a task file cannot be read.
    """

    def __init__(
        self, names: Sequence[str], folder: Path | None = None, limit: int | None = None
    ) -> None:
        if find_spec("lm_eval") is None:
            raise InvalidValue(
                "Tasks of lm-evaluation-harness need the package lm_eval, which is not installed: "
                "pip install 'dppa-studio[lm-eval]', or pip install '.[lm-eval]' in the repository."
            )
        if folder is not None and not folder.is_dir():
            raise InvalidValue(f"{folder}: there is no folder of task files.")
        from lm_eval.tasks import TaskManager  # noqa: PLC0415  (seconds)

        for name in ("lm_eval", "datasets"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.names, self.limit, self._folder = tuple(names), limit, folder
        path = None if folder is None else str(folder)
        with ForeignCode("The task files cannot be read", _USUAL):
            # The harness has 15,000 task files: read them only if no folder is given.
            self._manager = TaskManager(include_path=path, include_defaults=path is None)
            known = set(self._manager.all_tasks)
        for one in self.names:
            if one not in known:
                raise UnknownName(
                    f"No task {one!r} in {folder or 'lm-evaluation-harness'}, which has "
                    f"{many(len(known), 'task')}. {closest(one, known)}"
                )

    def content(self) -> str:
        """A hash of task files, settings and documents; raises DamagedCheckpoint as `ask`."""
        digest = hashlib.sha256(f"{task_files(self._folder)} {self.limit}".encode())
        with _silence(f"lm-evaluation-harness fails at {', '.join(self.names)}"):
            for name, task in sorted(self._loaded()["tasks"].items()):
                told = [name, task.dump_config(), list(task.eval_docs)]
                if task.get_config("num_fewshot"):
                    told.append(list(task.fewshot_docs()))
                digest.update(json.dumps(told, sort_keys=True, default=_plain).encode())
        return digest.hexdigest()

    def ask(self, resident: Resident) -> tuple[TaskResult, ...]:
        """Every metric of every task for one model, with its chat template if it has one.

        Raises:
            DamagedCheckpoint: the harness fails; its error in one line.
        """
        from lm_eval.evaluator import evaluate  # noqa: PLC0415  (seconds)
        from lm_eval.models.huggingface import HFLM  # noqa: PLC0415  (seconds)

        class _Chat(HFLM):  # type: ignore[misc]
            """Renders chat templates within the bounds of `rendered_chat`."""

            def apply_chat_template(
                self, chat_history: Any, add_generation_prompt: bool = True
            ) -> str:
                whose = f"{resident.key}: its chat template"
                finish = not add_generation_prompt
                return rendered_chat(self.tokenizer, chat_history, whose, finish=finish)

        what = f"{resident.key}: lm-evaluation-harness fails at {', '.join(self.names)}"
        with _silence(what):
            model = _Chat(
                pretrained=resident.model,
                tokenizer=resident.tokenizer,
                batch_size=TOGETHER,
                device=str(resident.model.device),
            )
            found = evaluate(
                lm=model,
                task_dict=self._loaded(),
                limit=self.limit,
                bootstrap_iters=0,
                log_samples=True,
                apply_chat_template=bool(resident.tokenizer.chat_template),
            )
            return tuple(_results(found))

    def _loaded(self) -> Any:
        """Freshly loaded tasks, so that every model gets the same few-shot examples."""
        loaded = self._manager.load(list(self.names))
        for task in loaded["tasks"].values():
            if task.get_config("num_fewshot") is None:
                task.set_config(key="num_fewshot", value=0)
            task.set_fewshot_seed(seed=SEED)
        return loaded


def _plain(value: Any) -> str:
    """A function by its name: its repr contains an address. `task_files` hashes its source."""
    return f"{value.__module__}.{value.__qualname__}" if callable(value) else str(value)


@contextmanager
def _silence(what: str) -> Iterator[None]:
    """Suppress progress bars and notices: standard output belongs to the command."""
    quiet = io.StringIO()
    with ForeignCode(what, _USUAL), redirect_stdout(quiet), redirect_stderr(quiet):
        yield


def _results(found: Mapping[str, Any]) -> Iterable[TaskResult]:
    for task, samples in found["samples"].items():
        better = found.get("higher_is_better", {}).get(task, {})
        for key, value in found["results"][task].items():
            metric, comma, chosen = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, (int, float)):
                continue
            each = _each(samples, metric, chosen, float(value))
            yield TaskResult(
                task,
                metric if chosen == "none" else key,
                float(value),
                _interval(each),
                len({sample["doc_id"] for sample in samples}),
                better.get(metric),
                each,
            )


def _each(
    samples: Sequence[Mapping[str, Any]], metric: str, chosen: str, value: float
) -> tuple[float, ...]:
    """The metric of each document; empty if their mean is not the task's metric."""
    numbers = [
        float(sample[metric])
        for sample in sorted(samples, key=lambda sample: sample["doc_id"])
        if sample["filter"] == chosen and isinstance(sample.get(metric), (bool, int, float))
    ]
    is_mean = numbers and abs(sum(numbers) / len(numbers) - value) < 1e-9
    return tuple(numbers) if is_mean else ()


def _interval(each: Sequence[float]) -> tuple[float, float] | None:
    if not each:
        return None
    if set(each) <= {0.0, 1.0}:
        return wilson(int(sum(each)), len(each))
    found: Interval = mean_interval(each, (1.0,) * len(each))
    return found.low, found.high
