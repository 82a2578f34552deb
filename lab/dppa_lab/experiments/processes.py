"""Answers questions in this process, or in several processes of one thread each."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from dppa_core.errors import Cancelled, InvalidValue, OutOfBudget, many
from dppa_core.progress import Stop
from dppa_core.system.byte_sizes import memory_budget
from dppa_lab.experiments.questions import ExperimentExaminer, Question

_ENDS = (signal.SIGINT, signal.SIGTERM)
_examiners: list[ExperimentExaminer] = []
"""Holds the examiner of a worker process; empty until it starts."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer and its cost."""

    question: Question[Any]
    answer: Any
    processor: float
    """Processor time, in seconds."""


Workers = Callable[[Sequence[Question[Any]]], Iterator[Answered]]
"""Yields the answers to all questions, in any order; if it is stopped, earlier answers are kept."""


def nobody(questions: Sequence[Question[Any]]) -> Iterator[Answered]:
    """No answers: raises InvalidValue if a question is not in the cache."""
    if questions:
        raise InvalidValue(
            f"it is not measured to its end: at least {many(len(questions), 'answer')} are "
            "missing. The same command without --no-ask goes on."
        )
    return iter(())


def in_pool(pool: Executor, questions: Sequence[Question[Any]]) -> Iterator[Answered]:
    """The answers of worker processes as they are found; raises OutOfBudget if one died."""
    waiting = [pool.submit(_in_worker, question) for question in questions]
    try:
        for future in as_completed(waiting):
            yield future.result()
    except BrokenProcessPool as error:
        raise OutOfBudget(
            "A worker process died. Too little memory for this number of workers is the usual "
            "cause: use fewer (--workers). Answers so far are kept."
        ) from error
    finally:
        for future in waiting:
            future.cancel()


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """That many workers; 1 is this process itself. At the end they stop within one token.

    They share the budget of memory evenly.
    """
    if count == 1:
        yield partial(map, partial(_timed, ExperimentExaminer()))
        return
    context = multiprocessing.get_context("spawn")
    stop, share = context.Event(), memory_budget() // count
    pool = ProcessPoolExecutor(
        count, mp_context=context, initializer=_begin_worker, initargs=(stop, share)
    )
    try:
        with _signals_ignored():  # a process inherits ignored signals
            for _ in range(count):  # the pool starts one process per waiting task
                pool.submit(_begun)
        yield partial(in_pool, pool)
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """Ignore ending signals while workers start: only the command reacts, and stops its workers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _begin_worker(stop: Stop, byte_budget: int) -> None:
    for number in _ENDS:  # for a start in another thread
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)  # more threads than cores slow each other down
    _examiners.append(ExperimentExaminer(stop, byte_budget))


def _begun() -> bool:
    """A first task, so that the processes start."""
    return bool(_examiners)


def _in_worker(question: Question[Any]) -> Answered:
    examiner = _examiners[0]
    if examiner.stop is not None and examiner.stop.is_set():
        raise Cancelled("Stopped before the end, as asked.")
    return _timed(examiner, question)


def _timed(examiner: ExperimentExaminer, question: Question[Any]) -> Answered:
    begun = time.process_time()
    answer = question.answer(examiner)
    return Answered(question, answer, time.process_time() - begun)
