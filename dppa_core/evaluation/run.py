"""Runs a side-by-side evaluation: domain items, perplexity of a text, harness tasks."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from math import prod
from typing import Any

import torch

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import many
from dppa_core.evaluation.examiner import SMALL, Examiner
from dppa_core.evaluation.lm_eval_harness import Harness, TaskResult
from dppa_core.evaluation.perplexity import perplexity
from dppa_core.evaluation.report import interval_json
from dppa_core.evaluation.scores import Exam, Marks, Target, references_of
from dppa_core.evaluation.side_by_side import Entrant, SideBySide
from dppa_core.merging.in_memory.source import memory_of
from dppa_core.models.drafted_answers import LONGEST, TOGETHER
from dppa_core.models.resident import Resident
from dppa_core.preflight_checks.estimate import answer_seconds, in_time
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.system.threads import available_cores, side_by_side
from dppa_core.tasks import items
from dppa_core.tasks.intervals import Interval

TOLD = 5.0
"""Seconds; of shorter evaluations no time is told."""
_FORMAT = 2  # change it when the same text or task would give other values


def measure(
    examiner: Examiner,
    who: Sequence[Entrant],
    domains: Sequence[str],
    *,
    split: str = "test",
    limit: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> SideBySide:
    """Ask all entrants about all domains; small models in parallel, one a core, or one a GPU.

    Args:
        limit: Items per domain, tasks in turn; all if None.
        progress: Called for each item, by any thread, one at a time; first with the time to expect.
    """
    asked = {domain: items(domain, split, limit) for domain in domains}
    total, lock = len(who) * sum(map(len, asked.values())), threading.Lock()
    done: dict[tuple[str, str], int] = {}

    def tell(one: Entrant, domain: str, count: int) -> None:
        with lock:
            done[one.key, domain] = count
            report(progress, sum(done.values()), total, f"{one.label}, {domain}")

    def ask(one: Entrant) -> dict[tuple[str, str], Marks]:
        found = {}
        for domain in domains:
            check(stop)
            exam, told = Exam(one.target, domain, split, limit), partial(tell, one, domain)
            found[one.key, domain] = examiner.marks(exam, progress=told, stop=stop)
            told(len(asked[domain]))  # cached marks report no items one by one
        return found

    workers = min(_at_once(examiner, [one.target for one in who]), len(who))
    exams = [Exam(one.target, domain, split, limit) for one in who for domain in domains]
    seconds = expected_seconds(examiner, exams) / max(workers, torch.get_num_threads())
    if seconds >= TOLD:
        report(progress, 0, total, f"about {in_time(seconds)} in all")
    marks: dict[tuple[str, str], Marks] = {}
    for found in side_by_side([partial(ask, one) for one in who], workers):
        marks |= found
    check(stop)
    return SideBySide(split, tuple(who), asked, marks)


def _at_once(examiner: Examiner, targets: Sequence[Target]) -> int:
    if all(4 * _numel(one, examiner.public) <= SMALL for one in targets):
        return available_cores()
    return min(map(examiner.at_once, targets), default=1)


def expected_seconds(examiner: Examiner, exams: Sequence[Exam]) -> float:
    """Seconds of one core for the answers that no cache knows, once the models are in memory; 0 for
    those of a GPU, and of models that are spread.

    Four letters count as a token. Wrong replies may be longer than right ones: in the mean they are
    taken as halfway between the right answer and the longest reply.
    """
    found, pool = 0.0, examiner.pool
    for one in exams:
        asked = one.items()
        opened = open_checkpoint(references_of(one.target)[0], public=examiner.public)
        elsewhere = pool.expected_place(opened) or memory_of(opened)[0] > pool.byte_budget
        if not asked or elsewhere or examiner.known(one) is not None:
            continue
        answer = sum(len(item.answer) for item in asked) / len(asked) / 4
        prompt = sum(len(item.prompt) for item in asked) / len(asked) / 4
        reply, numel = (answer + (one.tokens or LONGEST)) / 2, _numel(one.target, examiner.public)
        found += answer_seconds(numel, len(asked), prompt + answer, reply, TOGETHER)
    return found


def _numel(target: Target, public: bool) -> int:
    opened = open_checkpoint(references_of(target)[0], public=public)
    return sum(prod(opened.shape(name)) for name in opened.names())


def text_rows(
    examiner: Examiner,
    who: Sequence[Entrant],
    text: str,
    *,
    window: int,
    stride: int | None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> list[dict[str, Any]]:
    """Perplexity of each entrant on one text, as plain values; cached."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    asked = ["perplexity", _FORMAT, digest, window, stride]

    def ask(resident: Resident) -> dict[str, Any]:
        found = perplexity(resident, text, window=window, stride=stride, stop=stop)
        return {
            "perplexity": _figure(found.perplexity, found.windows),
            "loss": _figure(found.loss, found.windows),
            "bits_per_byte": found.bits_per_byte,
            "tokens": found.tokens,
            "window": found.window,
            "stride": found.stride,
            "windows": found.windows,
            "dtype": str(resident.model.dtype).removeprefix("torch."),
        }

    return _rows(examiner, who, asked, ask, progress, stop)


def harness_rows(
    examiner: Examiner,
    who: Sequence[Entrant],
    harness: Harness,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> list[dict[str, Any]]:
    """Harness results of each entrant, as plain values; cached."""
    asked = ["lm_eval", _FORMAT, harness.content(stop)]
    standing = (0, len(who), "")

    def begin(*told: Any) -> None:
        nonlocal standing
        standing = told
        report(progress, *standing)

    def tell(count: int) -> None:
        done, total, label = standing
        report(progress, done, total, f"{label}: {many(count, 'request')} answered")

    def ask(resident: Resident) -> dict[str, Any]:
        return {"results": [_result(one) for one in harness.ask(resident, tell, stop)]}

    return _rows(examiner, who, asked, ask, begin, stop)


def _figure(one: Interval, windows: int) -> dict[str, Any] | None:
    """A value with its bootstrap interval over windows; a single window has no interval."""
    return interval_json(one) if windows > 1 else {"value": one.value, "ci95": None}


def _result(one: TaskResult) -> dict[str, Any]:
    values = asdict(one)
    del values["each"]
    return {**values, "ci95": None if one.ci95 is None else list(one.ci95)}


def _rows(
    examiner: Examiner,
    who: Sequence[Entrant],
    asked: Sequence[object],
    ask: Callable[[Resident], dict[str, Any]],
    progress: Progress | None,
    stop: Stop | None = None,
) -> list[dict[str, Any]]:
    rows = []
    for done, one in enumerate(who):
        check(stop)
        report(progress, done, len(who), one.label)
        found = examiner.answer(one.target, asked, ask, stop)
        rows.append({"key": one.key, "label": one.label, **found})
    return rows
