"""Batched replies: questions to one model form a batch, and models take turns.

Questions join and leave between tokens. One thread computes a turn of a batch: it reads the
waiting prompts, or continues all its texts by a token. First tokens go before others, unless
these have waited for `HEAD_START_SECONDS` longer. A batch is continued for `SLICE_SECONDS` before
the next one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

import torch

from dppa_core.errors import Cancelled
from dppa_core.models.sampling import Chooser, TokenNumbers, token_numbers
from dppa_core.models.texts import texts_of
from dppa_core.progress import Stop, check

HEAD_START_SECONDS = 1.0
"""Seconds by which a question without a token goes before texts that are continued."""
SLICE_SECONDS = 0.05
"""Seconds of turns by which a batch is continued while others wait: its weights stay in the
processor's cache, and a short answer ends before the next begins."""
MAX_READ_PROMPTS = 16
"""Most prompts read in one turn: reading delays all others."""

T = TypeVar("T")
Step = tuple[int, TokenNumbers]
_PROCESS_ENDS = Cancelled("Stopped: the process is about to end.")


@dataclass(slots=True, eq=False)
class _Reply:
    """A question whose answer is being computed."""

    prompt: Sequence[int]
    choose: Chooser
    limit: int
    stop: Stop | None
    asked_at: float
    steps: SimpleQueue[Step | BaseException | None] = field(default_factory=SimpleQueue)
    """Read by its thread; None after the last token."""
    token: int = -1
    """The last token."""
    written: int = 0
    left: bool = False
    """True once the caller has stopped waiting."""

    def goes_on(self) -> bool:
        """Return True if another token is needed; if not, end the wait of its thread."""
        stopped = self.stop is not None and self.stop.is_set()
        if stopped or self.written == self.limit:
            self.steps.put(None)
        return not (stopped or self.left or self.written == self.limit)


class _Batch:
    """The replies of one model. One thread at a time runs `turn`; any may add to `waiting`."""

    def __init__(self, model: Any) -> None:
        self.model = model  # held, to keep its id unique
        self.waiting: deque[_Reply] = deque()
        self.busy = False
        self._texts, self._replies = texts_of(model), list[_Reply]()
        self._served, self._used = 0.0, 0.0

    def due(self) -> float:
        """Priority: the batch with the least value is next."""
        first = [reply.asked_at - HEAD_START_SECONDS for reply in list(self.waiting)[:1]]
        return min([self._served, *first])

    def empty(self) -> bool:
        return not self.waiting and not self._replies

    def turn(self) -> None:
        """Compute a token of each reply that waits for its first one, or else of every reply."""
        began = time.monotonic()
        self._drop()
        joining = [self.waiting.popleft() for _ in range(min(len(self.waiting), MAX_READ_PROMPTS))]
        joining = [reply for reply in joining if reply.goes_on()]
        if joining:
            self._replies += joining
            read = self._texts.read([reply.prompt for reply in joining], [1] * len(joining))
            self._write(joining, torch.cat(read))
        elif self._replies:
            tokens = torch.tensor([reply.token for reply in self._replies])
            self._write(self._replies, self._texts.step(tokens))
        now = time.monotonic()
        self._used += now - began
        if joining or self._used >= SLICE_SECONDS:
            self._served, self._used = now, 0.0

    def _drop(self) -> None:
        rows = [row for row, reply in enumerate(self._replies) if reply.goes_on()]
        if len(rows) < len(self._replies):
            self._texts.keep(rows)
            self._replies = [self._replies[row] for row in rows]

    def _write(self, replies: Sequence[_Reply], logits: torch.Tensor) -> None:
        picks = [reply.choose(logits[row : row + 1]) for row, reply in enumerate(replies)]
        tokens = torch.cat(picks)
        numbers = token_numbers(logits, tokens)
        for reply, token, number in zip(replies, tokens.tolist(), numbers, strict=True):
            reply.token, reply.written = token, reply.written + 1
            reply.steps.put((token, number))

    def fail(self, error: BaseException) -> None:
        """End all replies with this error."""
        for reply in (*self._replies, *self.waiting):
            reply.steps.put(error)
        self._replies.clear()
        self.waiting.clear()


class _Once:
    """One computation, in turn with the batches."""

    def __init__(self, compute: Callable[[], Any]) -> None:
        self.busy, self.result = False, Future[Any]()
        self._compute, self._asked_at = compute, time.monotonic()

    def due(self) -> float:
        """As `_Batch.due`, for a first token."""
        return self._asked_at - HEAD_START_SECONDS

    def empty(self) -> bool:
        return self.result.done()

    def turn(self) -> None:
        self.result.set_result(self._compute())

    def fail(self, error: BaseException) -> None:
        self.result.set_exception(error)


class Engine:
    """Computes replies for any number of threads, in threads of its own.

    Args:
        workers: Batches computed at the same time, each by one thread.
    """

    def __init__(self, workers: int = 1) -> None:
        self._workers, self._computing = workers, 0
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="dppa-engine")
        self._lock = threading.Lock()
        self._closed = False
        self._batches: dict[int, _Batch] = {}
        self._once: list[_Once] = []

    def once(self, compute: Callable[[], T]) -> T:
        """The result of a short computation, made in turn with the replies; raises its errors."""
        work = _Once(compute)
        with self._lock:
            self._once.append(work)
        self._go()
        result: T = work.result.result()
        return result

    def steps(
        self,
        model: Any,
        prompt: Sequence[int],
        choose: Chooser,
        limit: int,
        stop: Stop | None = None,
    ) -> Iterator[Step]:
        """As `decode.token_steps`, batched with other questions; closing it stops within a token.

        Raises:
            Cancelled: `stop` was set.
            NonFiniteWeights: the model computes NaN or infinity.
        """
        reply = _Reply(prompt, choose, limit, stop, time.monotonic())
        with self._lock:
            if id(model) not in self._batches:
                self._batches[id(model)] = _Batch(model)
            self._batches[id(model)].waiting.append(reply)
        self._go()
        try:
            while (step := reply.steps.get()) is not None:
                if isinstance(step, BaseException):
                    raise step
                check(stop)
                yield step
            check(stop)
        finally:
            reply.left = True

    def close(self) -> None:
        """Stop computing; pending replies end as `Cancelled`."""
        with self._lock:
            self._closed = True
        self._go()
        self._threads.shutdown(wait=False)

    def _go(self) -> None:
        """Give every free thread a batch, or end all that is pending once the engine is closed."""
        with self._lock:
            works: list[_Batch | _Once] = [*self._batches.values(), *self._once]
            ready = [work for work in works if not work.busy and not work.empty()]
            ready.sort(key=lambda work: work.due())
            if self._closed:
                for batch in ready:
                    batch.fail(_PROCESS_ENDS)
                return
            for batch in ready[: self._workers - self._computing]:
                batch.busy = True
                self._computing += 1
                self._threads.submit(self._turn, batch)

    def _turn(self, batch: _Batch | _Once) -> None:
        """Run a turn of a batch that no other thread runs, then begin what is due."""
        with ExitStack() as after:
            after.push(partial(self._turned, batch))
            batch.turn()
        self._go()

    def _turned(
        self, batch: _Batch | _Once, kind: object, error: BaseException | None, trace: object
    ) -> bool:
        """End a turn; its error becomes that of all who wait for this batch."""
        with self._lock:
            batch.busy = False
            self._computing -= 1
            if error is not None:
                batch.fail(error)
            if batch.empty():
                self._once = [work for work in self._once if work is not batch]
                self._batches = {id(b.model): b for b in self._batches.values() if b is not batch}
        return True
