"""Answers by another process, so that this one's interpreter is free for sliders.

The process starts with the first question, or with `start`; if it ends, unfinished answers fail
with a clear error, and the next question starts another.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue

from dppa_core.answering.answerer import Ready, ReplyEvent
from dppa_core.answering.messages import (
    Ask,
    Begin,
    Broken,
    End,
    Loaded,
    Message,
    MessageLine,
    ReplyStep,
)
from dppa_core.errors import Cancelled, OutOfBudget
from dppa_core.models.reply import GenerationSettings, Prompt, Reading, ReplyToken
from dppa_core.progress import Stop, check
from dppa_core.recipes.yaml_text import MergeRecipe

STOP_CHECK_SECONDS = 0.05
"""Time between checks of a reply's `stop` while no token arrives."""
_MEMORY = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": str(4 << 20)}
"""Settings of glibc. By default each thread that answers keeps what it has freed, and the process
keeps what was as large as a merge."""
_log = logging.getLogger("dppa.answers")
Step = ReplyEvent | Reading | BaseException | None
Replies = SimpleQueue[Step]


def _lost() -> OutOfBudget:
    return OutOfBudget(
        "The process that computes answers ended before this one was written. Too little memory "
        "is the usual cause. Ask again: it starts anew."
    )


class AnswerBug(Exception):
    """An exception in the answering process; its trace is in the log."""


class _Running:
    """One answering process, from its start to its end."""

    def __init__(self, begin: Begin) -> None:
        asking, answering = socket.socketpair()
        root = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __package__, str(answering.fileno())],
            pass_fds=(answering.fileno(),),
            env={**_MEMORY, **os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
        )
        answering.close()
        self.line, self.pid = MessageLine(asking), self._process.pid
        self.waiting: dict[int, Replies] = {}
        self.loaded = Loaded((), 0)
        self.over = threading.Event()
        self.line.send(begin)
        threading.Thread(target=self._listen, name="dppa-answers", daemon=True).start()

    def _listen(self) -> None:
        while (message := self.line.receive()) is not None:
            self._take(message)
        self.over.set()
        for events in list(self.waiting.values()):
            events.put(_lost())
        self._process.wait()

    def _take(self, message: Message) -> None:
        if isinstance(message, Loaded):
            self.loaded = message
        elif isinstance(message, Broken):
            _log.error("an answer ended by a bug\n%s", message.trace)
            self._put(message.number, AnswerBug())
        elif isinstance(message, ReplyStep):
            self._put(message.number, message.event)

    def _put(self, number: int, event: Step) -> None:
        events = self.waiting.get(number)
        if events is not None:
            events.put(event)

    def end(self) -> None:
        """Close the socket: the process ends by itself."""
        self.line.close()
        self._process.terminate()


class ProcessAnswerer:
    """See `Answerer`; safe for many threads.

    Args:
        byte_budget: Bytes of models that the process holds.
        public: True if strangers ask.
        workers: Models that compute at the same time.
    """

    def __init__(self, byte_budget: int, *, public: bool, workers: int = 1) -> None:
        self._begin = Begin(byte_budget, public, workers)
        self._lock, self._numbers = threading.Lock(), count()
        self._running: _Running | None = None
        self._closed = False

    @property
    def byte_budget(self) -> int:
        """Most bytes of models that the process holds."""
        return self._begin.byte_budget

    def start(self) -> int:
        """Start the process unless it runs, and return its number."""
        return self._started().pid

    def _started(self) -> _Running:
        with self._lock:
            if self._closed:
                raise Cancelled("Stopped: the process is about to end.")
            if self._running is None or self._running.over.is_set():
                self._running = _Running(self._begin)
            return self._running

    def replies(
        self,
        target: str | MergeRecipe,
        prompt: Prompt,
        settings: GenerationSettings,
        stop: Stop | None = None,
    ) -> Generator[ReplyEvent]:
        """See `Answerer`.

        Raises:
            OutOfBudget: the process ended, for any cause.
        """
        for event in self._events(target, prompt, settings, stop):
            if isinstance(event, Ready | ReplyToken):
                yield event

    def reading(
        self, target: str | MergeRecipe, prompt: Prompt, text: str, stop: Stop | None = None
    ) -> Reading:
        """See `Answerer`; raises as `replies`."""
        (reading,) = self._events(target, prompt, text, stop)
        if not isinstance(reading, Reading):
            raise TypeError(f"expected a Reading, got {reading!r}")
        return reading

    def _events(
        self,
        target: str | MergeRecipe,
        prompt: Prompt,
        reply: GenerationSettings | str,
        stop: Stop | None,
    ) -> Generator[ReplyEvent | Reading]:
        running, number, events = self._started(), next(self._numbers), Replies()
        running.waiting[number] = events
        try:
            if not running.line.send(Ask(number, target, prompt, reply)):
                raise _lost()
            while (event := _next(events, stop)) is not None:
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            del running.waiting[number]
            running.line.send(End(number))

    def loaded(self) -> tuple[tuple[str, ...], int]:
        """See `Answerer`."""
        running = self._running
        if running is None or running.over.is_set():
            return (), 0
        return running.loaded.keys, running.loaded.nbytes

    def close(self) -> None:
        """See `Answerer`."""
        with self._lock:
            self._closed = True
            if self._running is not None:
                self._running.end()


def _next(events: Replies, stop: Stop | None) -> Step:
    while True:
        check(stop)
        try:
            return events.get(timeout=STOP_CHECK_SECONDS)
        except Empty:
            continue
