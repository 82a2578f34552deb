"""The work of the answering process (`dppa_core/answering/__main__.py`).

Ends when the asking process closes its end of the socket, even by a crash.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from dppa_core.answering.answerer import Ready, ReplyEvent
from dppa_core.answering.in_process import OwnAnswerer
from dppa_core.answering.messages import Ask, Begin, Broken, End, Loaded, MessageLine, ReplyStep
from dppa_core.errors import DppaError, trace_text
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.reply import Reading
from dppa_core.progress import check
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.shortage import ShortageAsError

MAX_ANSWERS = 128
"""Most answers written at a time; more wait."""
MAX_MERGES = 6
"""Most merges that answer at a time, besides those being computed. Each needs weights of its own,
and weights are computed one after the other, so that more merges end no answer sooner."""


def serve(line: MessageLine, begin: Begin) -> None:
    """Answer until the socket closes."""
    pool = ModelPool(begin.byte_budget, public=begin.public, plain=True)
    merges = FewMerges(MAX_MERGES + begin.workers)
    answerer = OwnAnswerer(pool, workers=begin.workers)
    stops: dict[int, threading.Event] = {}
    with ThreadPoolExecutor(MAX_ANSWERS, thread_name_prefix="dppa-answer") as threads:
        while (message := line.receive()) is not None:
            if isinstance(message, Ask):
                stop = stops[message.number] = threading.Event()
                future = threads.submit(_answer, answerer, merges, message, stop, line)
                future.add_done_callback(partial(_ended, line, begin, stops, message.number))
            elif isinstance(message, End) and message.number in stops:
                stops[message.number].set()
        for stop in list(stops.values()):
            stop.set()
        answerer.close()


class FewMerges:
    """Lets `most` merges answer at a time, each any number of questions; models always.

    An answer needs one place, so that each wait ends.
    """

    def __init__(self, most: int) -> None:
        self._most, self._changed = most, threading.Condition()
        self._answers = Counter[str]()

    @contextmanager
    def place(self, target: str | MergeRecipe) -> Iterator[None]:
        """Wait until this target may answer; it has its place during the block."""
        if isinstance(target, str):
            yield
            return
        key = recipe_hash(target)
        with self._changed:
            self._changed.wait_for(lambda: key in self._answers or len(self._answers) < self._most)
            self._answers[key] += 1
        try:
            yield
        finally:
            with self._changed:
                self._answers -= Counter([key])  # drops what is 0
                self._changed.notify_all()


def _answer(
    answerer: OwnAnswerer, merges: FewMerges, ask: Ask, stop: threading.Event, line: MessageLine
) -> None:
    try:
        with ShortageAsError(), merges.place(ask.target):
            check(stop)
            for event in _events(answerer, ask, stop):
                if isinstance(event, Ready):
                    line.send(Loaded(*answerer.loaded()))
                if not line.send(ReplyStep(ask.number, event)):
                    return
    except DppaError as error:
        line.send(ReplyStep(ask.number, error))
        return
    line.send(ReplyStep(ask.number, None))


def _events(
    answerer: OwnAnswerer, ask: Ask, stop: threading.Event
) -> Iterator[ReplyEvent | Reading]:
    if isinstance(ask.reply, str):
        yield answerer.reading(ask.target, ask.prompt, ask.reply, stop)
    else:
        yield from answerer.replies(ask.target, ask.prompt, ask.reply, stop)


def _ended(
    line: MessageLine,
    begin: Begin,
    stops: dict[int, threading.Event],
    number: int,
    future: Future[None],
) -> None:
    stops.pop(number, None)
    error = future.exception()
    if error is not None:  # a bug: the process that asks writes it into its log
        line.send(Broken(number, trace_text(error, messages=not begin.public)))


def main() -> None:
    """Serve over the socket whose number is the first argument."""
    line = MessageLine(socket.socket(fileno=int(sys.argv[1])))
    begin = line.receive()
    if isinstance(begin, Begin):
        import torch  # noqa: PLC0415  (heavy: not before there is work)

        torch.set_num_threads(1)
        gc.freeze()  # else every full collection searches what was imported, and all answers wait
        serve(line, begin)
    os._exit(0)  # threads of the engine may be in the middle of a turn
