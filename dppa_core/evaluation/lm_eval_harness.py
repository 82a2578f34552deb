"""Tasks of lm-evaluation-harness (the package `lm_eval`, an extra) on a model in memory.

Task files may contain code (`!function`), which runs here. With `public` such tasks are refused,
and templates are rendered in a sandbox.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2.exceptions import SecurityError

from dppa_core.errors import DamagedCheckpoint, Unreachable
from dppa_core.evaluation.harness_tasks import (
    FEWSHOT_SEED,
    find_tasks,
    not_declarative,
    sandboxed_templates,
    task_files,
)
from dppa_core.models.resident import Resident
from dppa_core.progress import Stop, check
from dppa_core.system.error_translation import ForeignCode
from dppa_core.tasks.intervals import mean_interval, wilson

_USUAL_CAUSE = "A mistake in a task file is the usual cause."
_PACKAGE_LOCK = threading.Lock()
"""Held while the package runs: output and templates are those of the whole process."""


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
    documents: tuple[float, ...]
    """Value of each document; empty if the metric is not their mean."""


class Harness:
    """The requested tasks, found and read once.

    Args:
        names: Tasks, or groups of tasks.
        folder: The user's task files; the harness's own if None.
        limit: Documents per task; all if None.
        public: True if untrusted users chose the names; see `find_tasks`.

    Raises:
        InvalidValue, UnknownName, NotAllowed, DamagedCheckpoint: as `find_tasks`.
    """

    def __init__(
        self,
        names: Sequence[str],
        folder: Path | None = None,
        limit: int | None = None,
        *,
        public: bool = False,
    ) -> None:
        self.names, self.limit = tuple(names), limit
        self._folder, self._public = folder, public
        self._manager = find_tasks(self.names, folder, public=public)

    def content(self, stop: Stop | None = None) -> str:
        """A hash of task files, settings and documents; raises as `ask`."""
        digest = hashlib.sha256(f"{task_files(self._folder)} {self.limit}".encode())
        with self._alone("lm-evaluation-harness", stop):
            for name, task in sorted(self._loaded()["tasks"].items()):
                parts = [name, task.dump_config(), list(task.eval_docs)]
                if task.get_config("num_fewshot"):
                    parts.append(list(task.fewshot_docs()))
                digest.update(json.dumps(parts, sort_keys=True, default=_plain).encode())
        return digest.hexdigest()

    def ask(
        self,
        resident: Resident,
        answered: Callable[[int], None] | None = None,
        stop: Stop | None = None,
    ) -> tuple[TaskResult, ...]:
        """Every metric of every task for one model, with its chat template if it has one.

        Args:
            answered: Called with the number of requests answered so far; a question with choices
                makes one request for each.

        Raises:
            DamagedCheckpoint: the harness fails; its error in one line.
            Unreachable: a task's data have to be fetched, and the network is away.
            NotAllowed: with `public`, a template reaches for code.
        """
        from lm_eval.evaluator import evaluate  # noqa: PLC0415  (seconds)

        from dppa_core.evaluation.harness_model import HarnessModel  # noqa: PLC0415  (seconds)

        with self._alone(f"{resident.key}: lm-evaluation-harness", stop):
            output = evaluate(
                lm=HarnessModel(resident, answered, stop),
                task_dict=self._loaded(),
                limit=self.limit,
                bootstrap_iters=0,
                log_samples=True,
                apply_chat_template=bool(resident.tokenizer.chat_template),
            )
            return tuple(_results(output))

    def _loaded(self) -> Any:
        """Freshly loaded tasks, so that every model gets the same few-shot examples."""
        loaded = self._manager.load(list(self.names))
        for task in loaded["tasks"].values():
            if task.get_config("num_fewshot") is None:
                task.set_config(key="num_fewshot", value=0)
            task.set_fewshot_seed(seed=FEWSHOT_SEED)
        return loaded

    @contextmanager
    def _alone(self, subject: str, stop: Stop | None) -> Iterator[None]:
        """Run the package: one thread at a time, quiet, with its errors as ours.

        Progress bars and notices are suppressed: standard output belongs to the command.
        """
        output, names = io.StringIO(), ", ".join(self.names)
        check(stop)
        while not _PACKAGE_LOCK.acquire(timeout=0.1):
            check(stop)
        try:
            with (
                ForeignCode(f"{subject} fails at {names}", _USUAL_CAUSE),
                redirect_stdout(output),
                redirect_stderr(output),
                sandboxed_templates() if self._public else nullcontext(),
            ):
                yield
        except DamagedCheckpoint as error:
            if isinstance(error.__cause__, SecurityError):
                tasks = "The task" if len(self.names) == 1 else "One of the tasks"
                reason = "a template reaches for code"
                raise not_declarative(f"{tasks} {names}", reason) from error
            if isinstance(error.__cause__, ConnectionError):  # what `datasets` raises
                raise Unreachable(
                    f"{names}: the questions have to be fetched from the Hugging Face Hub, which "
                    f"does not answer ({error.__cause__}). Once fetched they are kept. Check the "
                    "network, and that HF_HUB_OFFLINE is not set."
                ) from error
            raise
        finally:
            _PACKAGE_LOCK.release()


def _plain(value: Any) -> str:
    """A function by its name: its repr contains an address. `task_files` hashes its source."""
    return f"{value.__module__}.{value.__qualname__}" if callable(value) else str(value)


def _results(output: Mapping[str, Any]) -> Iterable[TaskResult]:
    for task, samples in output["samples"].items():
        higher_is_better = output.get("higher_is_better", {}).get(task, {})
        for key, value in output["results"][task].items():
            metric, comma, filter_name = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, (int, float)):
                continue
            documents = _document_values(samples, metric, filter_name, float(value))
            yield TaskResult(
                task,
                metric if filter_name == "none" else key,
                float(value),
                _interval(documents),
                len({sample["doc_id"] for sample in samples}),
                higher_is_better.get(metric),
                documents,
            )


def _document_values(
    samples: Sequence[Mapping[str, Any]], metric: str, filter_name: str, value: float
) -> tuple[float, ...]:
    """The metric of each document; empty if their mean is not the task's metric."""
    numbers = [
        float(sample[metric])
        for sample in sorted(samples, key=lambda sample: sample["doc_id"])
        if sample["filter"] == filter_name and isinstance(sample.get(metric), (bool, int, float))
    ]
    is_mean = numbers and abs(sum(numbers) / len(numbers) - value) < 1e-9
    return tuple(numbers) if is_mean else ()


def _interval(documents: Sequence[float]) -> tuple[float, float] | None:
    if not documents:
        return None
    if set(documents) <= {0.0, 1.0}:
        return wilson(int(sum(documents)), len(documents))
    return mean_interval(documents, (1.0,) * len(documents)).ends
