"""Measures entrants side by side: on domain items, a text, and tasks of the harness."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from math import prod
from typing import Any

import torch

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.folders.architectures import is_encoder
from dppa_core.errors import many
from dppa_core.evaluation.examiner import SMALL_MODEL_BYTES, Examiner
from dppa_core.evaluation.form_sizes import kept_alone
from dppa_core.evaluation.lm_eval_harness import Harness, TaskResult
from dppa_core.evaluation.masked_loss import masked_loss
from dppa_core.evaluation.perplexity import perplexity
from dppa_core.evaluation.scores import Exam, Marks, Target
from dppa_core.evaluation.side_by_side import BASE, Entrant, SideBySide
from dppa_core.evaluation.side_by_side_values import interval_json
from dppa_core.merging.in_memory.source import memory_of
from dppa_core.models.drafted_answers import MAX_BATCH_QUESTIONS, MAX_REPLY_TOKENS
from dppa_core.models.resident import Resident, fills_masks
from dppa_core.preflight_checks.estimate import answer_seconds, in_time
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.pruning.tensor_names import find_head, in_head, match_names
from dppa_core.system.threads import available_cores, side_by_side
from dppa_core.tasks import items
from dppa_core.tasks.intervals import Interval

ANNOUNCED_SECONDS = 5.0
"""Shortest evaluation whose expected time is announced."""
_FORMAT = 2  # change it when the same text or task would give other values


def measure(
    examiner: Examiner,
    entrants: Sequence[Entrant],
    domains: Sequence[str],
    *,
    split: str = "test",
    limit: int | None = None,
    behaviour: bool = False,
    base: str = "",
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> SideBySide:
    """Ask all entrants about all domains; small models in parallel, one a core, or one a GPU.

    Args:
        limit: Items per domain, tasks in turn; all if None.
        behaviour, base: As of `Exam`.
        progress: Called for each item, by any thread, one at a time; first with the time to expect.
    """
    domain_items = {domain: items(domain, split, limit) for domain in domains}
    total, lock = len(entrants) * sum(map(len, domain_items.values())), threading.Lock()
    answered: dict[tuple[str, str], int] = {}

    def count(entrant: Entrant, domain: str, number: int) -> None:
        with lock:
            answered[entrant.key, domain] = number
            report(progress, sum(answered.values()), total, f"{entrant.label}, {domain}")

    def examine(entrant: Entrant) -> dict[tuple[str, str], Marks]:
        marks = {}
        for domain in domains:
            check(stop)
            exam, count_items = exams[entrant.key, domain], partial(count, entrant, domain)
            marks[entrant.key, domain] = examiner.marks(exam, progress=count_items, stop=stop)
            count_items(len(domain_items[domain]))  # cached marks report no items one by one
        return marks

    workers = min(_parallel_exams(examiner, [one.target for one in entrants]), len(entrants))
    of_exam, pairs = (split, limit, behaviour, base), product(entrants, domains)
    exams = {(one.key, domain): Exam(one.target, domain, *of_exam) for one, domain in pairs}
    seconds = expected_seconds(examiner, [*exams.values()]) / max(workers, torch.get_num_threads())
    if seconds >= ANNOUNCED_SECONDS:
        report(progress, 0, total, f"about {in_time(seconds)} in all")
    works = [partial(examine, entrant) for entrant in entrants]
    all_marks = {key: m for marks in side_by_side(works, workers) for key, m in marks.items()}
    check(stop)
    return SideBySide(split, tuple(entrants), domain_items, all_marks)


def _parallel_exams(examiner: Examiner, targets: Sequence[Target]) -> int:
    if all(4 * _numel(examiner.base(target)) <= SMALL_MODEL_BYTES for target in targets):
        return available_cores()
    return min(map(examiner.parallel_exams, targets), default=1)


def expected_seconds(examiner: Examiner, exams: Sequence[Exam]) -> float:
    """Seconds of one core for the answers that no cache has, once the models are in memory; 0 for
    those of a GPU, and of models that are spread.

    Four letters count as a token. Wrong replies may be longer than right ones: on average they are
    assumed halfway between the right answer and the longest reply.
    """
    seconds, pool = 0.0, examiner.pool
    for exam in exams:
        questions = exam.items()
        base = examiner.base(exam.target)
        elsewhere = pool.expected_place(base) or memory_of(base)[0] > pool.byte_budget
        known = examiner.classifies(exam.target) or examiner.cached_marks(exam) is not None
        if not questions or elsewhere or known:
            continue
        answer = sum(len(item.answer) for item in questions) / len(questions) / 4
        prompt = sum(len(item.prompt) for item in questions) / len(questions) / 4
        reply = (answer + (exam.tokens or MAX_REPLY_TOKENS)) / 2
        sizes = _numel(base), len(questions)
        seconds += answer_seconds(*sizes, prompt + answer, reply, MAX_BATCH_QUESTIONS)
    return seconds


def _numel(base: Checkpoint) -> int:
    return sum(prod(base.shape(name)) for name in base.names())


def text_rows(
    examiner: Examiner,
    entrants: Sequence[Entrant],
    text: str,
    *,
    window: int,
    stride: int | None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> list[dict[str, Any]]:
    """Perplexity of each entrant on one text, as plain values; cached. Of encoders the loss at
    masked tokens; models without the head for it get that of the base among the entrants."""
    digest = hashlib.sha256(text.encode()).hexdigest()

    def ask(resident: Resident) -> dict[str, Any]:
        if fills_masks(resident.model):
            masked = masked_loss(resident, text, window=window, stop=stop)
            loss = _interval(masked.loss, masked.windows)
            return {**asdict(masked), "loss": loss, "dtype": _dtype(resident)}
        result = perplexity(resident, text, window=window, stride=stride, stop=stop)
        return {
            "perplexity": _interval(result.perplexity, result.windows),
            "loss": _interval(result.loss, result.windows),
            "bits_per_byte": result.bits_per_byte,
            "tokens": result.tokens,
            "window": result.window,
            "stride": result.stride,
            "windows": result.windows,
            "dtype": _dtype(resident),
        }

    question = ["perplexity", _FORMAT, digest, window, stride]
    base = next((entrant.target for entrant in entrants if entrant.key == BASE), None)
    if isinstance(base, str) and is_encoder(examiner.base(base).config):
        entrants = [_with_head(examiner, base, entrant) for entrant in entrants]
    return _rows(examiner, entrants, question, ask, progress, stop)


def _dtype(resident: Resident) -> str:
    return str(resident.model.dtype).removeprefix("torch.")


def _with_head(examiner: Examiner, base: str, entrant: Entrant) -> Entrant:
    """The entrant; a model without a masked-language head as its body under the base's head."""
    if not isinstance(entrant.target, str):
        return entrant
    names = examiner.base(base).names()
    held = match_names(names, examiner.base(entrant.target).names())
    if not any(in_head(name) and name not in held and name != find_head(names) for name in names):
        return entrant
    target = kept_alone(base, entrant.target, heads="base")
    return replace(entrant, label=f"{entrant.label}, the base's head", target=target)


def _interval(interval: Interval, windows: int) -> dict[str, Any] | None:
    """A value with its bootstrap interval over windows; a single window has no interval."""
    return interval_json(interval) if windows > 1 else {"value": interval.value, "ci95": None}


def harness_rows(
    examiner: Examiner,
    entrants: Sequence[Entrant],
    harness: Harness,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> list[dict[str, Any]]:
    """Harness results of each entrant, as plain values; cached."""
    current = (0, len(entrants), "")

    def begin(*entrant: Any) -> None:
        nonlocal current
        current = entrant
        report(progress, *current)

    def count(requests: int) -> None:
        done, total, label = current
        report(progress, done, total, f"{label}: {many(requests, 'request')} answered")

    def ask(resident: Resident) -> dict[str, Any]:
        return {"results": [_result(result) for result in harness.ask(resident, count, stop)]}

    question = ["lm_eval", _FORMAT, harness.content(stop)]
    return _rows(examiner, entrants, question, ask, begin, stop)


def _result(result: TaskResult) -> dict[str, Any]:
    values = asdict(result)
    del values["documents"]
    return {**values, "ci95": None if result.ci95 is None else list(result.ci95)}


def _rows(
    examiner: Examiner,
    entrants: Sequence[Entrant],
    question: Sequence[object],
    ask: Callable[[Resident], dict[str, Any]],
    progress: Progress | None,
    stop: Stop | None = None,
) -> list[dict[str, Any]]:
    rows = []
    for number, entrant in enumerate(entrants):
        check(stop)
        report(progress, number, len(entrants), entrant.label)
        values = examiner.answer(entrant.target, question, ask, stop)
        rows.append({"key": entrant.key, "label": entrant.label, **values})
    return rows
