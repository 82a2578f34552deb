"""Who computes now: answers to sliders and tokens of chats, one after another instead of at once.

Knows threads and time, not what is computed. Python runs one thread at a time, and PyTorch asks for
its turn anew after every operation, hundreds of times a token: beside eight threads that answer
sliders a chat took ten times as long as alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

T = TypeVar("T")
Kind = Literal["slider", "token"]

SLIDERS = 0.005
"""Seconds of answers to sliders between two tokens, while both wait: about what a token takes. One
answer at least: there are some of 0.5 ms, and some of 50."""
PATIENCE = 0.02
"""Seconds after which one who computes has to share: the token of a large model takes longer."""


class Floor:
    """One has it at a time; sliders and tokens take turns, each in the order they came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Kind, deque[threading.Event]] = {"slider": deque(), "token": deque()}
        self._holder: threading.Event | None = None
        self._until = 0.0
        """When it goes to the next one even so."""
        self._sliders: float | None = None
        """When the first answer to a slider since the last token was begun."""

    @contextmanager
    def turn(self, kind: Kind) -> Iterator[None]:
        """Have it for a block; who keeps it too long goes on beside the next one."""
        mine = threading.Event()
        with self._lock:
            self._waiting[kind].append(mine)
            if self._holder is None:
                self._pass_on()
        while not mine.wait(max(0.0, self._until - time.monotonic())):
            with self._lock:
                if time.monotonic() >= self._until:
                    self._pass_on()
        try:
            yield
        finally:
            with self._lock:
                if self._holder is mine:
                    self._pass_on()

    def tokens(self, tokens: Iterator[T]) -> Iterator[T]:
        """The same, each computed in a turn of its own."""
        while True:
            with self.turn("token"):
                token = next(tokens, None)
            if token is None:
                return
            yield token

    def _pass_on(self) -> None:
        sliders, tokens = self._waiting["slider"], self._waiting["token"]
        now = time.monotonic()
        had = self._sliders is not None and now >= self._sliders + SLIDERS
        token = tokens and (had or not sliders)
        queue = tokens if token else sliders
        self._holder = queue.popleft() if queue else None
        if self._holder is not None:
            self._sliders = None if token else self._sliders or now
            self._until = now + PATIENCE
            self._holder.set()
