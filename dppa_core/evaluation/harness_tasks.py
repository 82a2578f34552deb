"""Task files of lm-evaluation-harness: found by name, and checked for code.

Task files may contain code (`!function`), which runs when a task is loaded, and
templates, which are programs too.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

from dppa_core.errors import InvalidValue, NotAllowed, UnknownName, closest, many
from dppa_core.extras import install_command
from dppa_core.system.error_translation import ForeignCode

PAPER_TASKS = Path(__file__).parent / "paper_tasks"
"""Task files of our own, for data sets of the paper that the package lacks."""
FEWSHOT_SEED, BATCH_REQUESTS = 1234, 16
"""Seed of few-shot examples, the package's own default; requests of a batch."""
MAX_LISTED_TASKS = 5
"""Most tasks that a message lists when one is missing."""
_FORMAT = 1  # change it when the same tasks would be asked differently
_METRICS = {"acc", "acc_norm", "exact_match", "perplexity", "word_perplexity", "byte_perplexity"}
_METRICS |= {"bits_per_byte", "mcc", "f1"}
"""Metrics that the package computes itself; it fetches the code of any other from the Hub."""
_METRIC_KEYS = {"metric", "aggregation", "higher_is_better", "ignore_case", "ignore_punctuation"}
_METRIC_KEYS |= {"ignore_numbers", "regexes_to_ignore"}
_KEYS = {"task", "tag", "include", "dataset_path", "dataset_name", "dataset_kwargs"}
_KEYS |= {"training_split", "validation_split", "test_split", "fewshot_split", "num_fewshot"}
_KEYS |= {"doc_to_text", "doc_to_choice", "doc_to_target", "description", "fewshot_config"}
_KEYS |= {"target_delimiter", "fewshot_delimiter", "gen_prefix", "output_type", "metadata"}
_KEYS |= {"generation_kwargs", "filter_list", "repeats", "metric_list", "task_alias"}
_KEYS |= {"should_decontaminate", "doc_to_decontamination_query"}


def task_files(folder: Path | None) -> str:
    """A hash of the package versions and of all files in a task folder; see `find_tasks`."""
    digest = hashlib.sha256(f"{_FORMAT} {BATCH_REQUESTS} {FEWSHOT_SEED}".encode())
    for name in ("lm_eval", "datasets") if find_spec("lm_eval") else ():
        digest.update(f"{name} {version(name)}".encode())
    folder = PAPER_TASKS if folder is None else folder
    files = (path for path in folder.rglob("*") if path.is_file())
    for path in sorted(path for path in files if "__pycache__" not in path.parts):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder)} {content}".encode())
    return digest.hexdigest()


def find_tasks(names: Sequence[str], folder: Path | None, *, public: bool = False) -> Any:
    """A manager of the package that has all of the named tasks.

    Args:
        names: Tasks, or groups of tasks.
        folder: The user's task files; the package's own and the paper's if None.
        public: True if untrusted users chose the names: tasks that run code are then refused, and
            messages name no folder.

    Raises:
        InvalidValue: the package is not installed, or the folder does not exist.
        UnknownName: no such task.
        NotAllowed: with `public`, a task that is not declarative.
        DamagedCheckpoint: a task file cannot be read.
    """
    if find_spec("lm_eval") is None:
        missing = "Tasks of lm-evaluation-harness need the package lm_eval, which is not installed"
        raise InvalidValue(f"{missing}." if public else f"{missing}: {install_command('lm-eval')}.")
    if folder is not None and not folder.is_dir():
        gone = "This page's folder of task files does not exist; its operator sets it."
        raise InvalidValue(gone if public else f"{folder}: there is no folder of task files.")
    for name in ("lm_eval", "datasets"):
        logging.getLogger(name).setLevel(logging.ERROR)
    manager = _tasks_of(folder or PAPER_TASKS)
    if folder is None and not set(names) <= set(manager.all_tasks):
        manager = _every_task()
    source = "lm-evaluation-harness" if folder is None else str(folder)
    _check_known(names, manager.all_tasks, "this page's folder of task files" if public else source)
    for name in names if public else ():
        _check_declarative(name, manager.task_index[name].yaml_path)
    return manager


def _tasks_of(folder: Path, *, include_defaults: bool = False) -> Any:
    from lm_eval.tasks import TaskManager  # noqa: PLC0415  (seconds)

    usual = "A mistake in a task file is the usual cause."
    with ForeignCode("The task files cannot be read", usual):
        return TaskManager(include_path=str(folder), include_defaults=include_defaults)


@cache
def _every_task() -> Any:
    """The paper's tasks and the package's, whose 15,000 files take a quarter of a minute."""
    return _tasks_of(PAPER_TASKS, include_defaults=True)


@contextmanager
def sandboxed_templates() -> Iterator[None]:
    """Render templates of the package without access to the internals of Python.

    For the whole process: one thread at a time. A template that tries raises a SecurityError.
    """
    from lm_eval import utils  # noqa: PLC0415  (seconds)

    usual = utils.env
    utils.env = ImmutableSandboxedEnvironment(
        loader=usual.loader,
        undefined=usual.undefined,
        keep_trailing_newline=usual.keep_trailing_newline,
    )
    utils.env.filters.update(usual.filters)
    try:
        yield
    finally:
        utils.env = usual


def _check_known(names: Sequence[str], all_tasks: Iterable[str], source: str) -> None:
    tasks = set(all_tasks)
    listed = f": {', '.join(sorted(tasks))}" if 0 < len(tasks) <= MAX_LISTED_TASKS else ""
    for name in names:
        if name not in tasks:
            raise UnknownName(
                f"No task {name!r} in {source}, which has {many(len(tasks), 'task')}{listed}. "
                f"{closest(name, tasks)}".rstrip()
            )


def _check_declarative(name: str, path: Path | None) -> None:
    """Raise NotAllowed for a group, and for a task that runs code of its own or of the Hub."""
    reason = "it is a group of tasks" if path is None else _code_in(path)
    if reason:
        raise not_declarative(f"The task {name!r}", reason)


def not_declarative(tasks: str, reason: str) -> NotAllowed:
    """The error for tasks that a public page refuses."""
    return NotAllowed(
        f"{tasks} cannot be asked on a public page: {reason}. Allowed are single tasks that run no "
        "code. Your own copy asks every task."
    )


def _code_in(path: Path) -> str:
    """The reason why a task file is not declarative; empty if it is."""
    try:
        config = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError:  # a tag, as !function
        return f"{path.name} names code"
    unknown = sorted(set(config) - _KEYS)
    if unknown or not isinstance(config.get("task", ""), str):
        return f"{path.name} has the key {unknown[0] if unknown else 'task'}"
    for metric in config.get("metric_list", ()):
        if metric["metric"] not in _METRICS or set(metric) - _METRIC_KEYS:
            return f"{path.name} has a metric that may run code, {metric['metric']}"
    included = config.get("include", [])
    names = [included] if isinstance(included, str) else included
    return next(filter(None, (_code_in(path.parent / name) for name in names)), "")
