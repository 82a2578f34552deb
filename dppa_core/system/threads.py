"""Tasks side by side, in threads: the loops over weights release the interpreter's lock.

Knows tasks, not what they do. Results come in the order of the tasks, and so does the first
error, whatever the number of workers.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

from dppa_core.errors import InvalidValue

T = TypeVar("T")


def available_cores() -> int:
    """Cores this process may use: fewer than the machine has, in a container or a job."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_count(workers: int | None) -> int:
    """The number of workers asked for; all available cores if None.

    Raises:
        InvalidValue: less than one.
    """
    if workers is None:
        return available_cores()
    if workers < 1:
        raise InvalidValue(f"workers must be 1 or more, got {workers}; unset, it is every core.")
    return workers


def side_by_side(tasks: Iterable[Callable[[], T]], workers: int) -> Generator[T, None, None]:
    """The result of every task, in their order.

    After an error, or when the caller stops asking, no further task begins; those at work are
    waited for.

    Args:
        tasks: Independent of each other.
        workers: How many are at work at a time. With 1 all is done by the calling thread.
    """
    if workers == 1:
        for task in tasks:
            yield task()
        return
    executor = ThreadPoolExecutor(workers, thread_name_prefix="dppa")
    failed = _FirstFailure()
    try:
        waiting = deque(executor.submit(failed.watch, n, task) for n, task in enumerate(tasks))
        while waiting:  # a result that was handed out is not held here
            yield waiting.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)


class _FirstFailure:
    """Keeps tasks behind one that has failed from beginning; those before it are still wanted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._place = math.inf

    def watch(self, place: int, task: Callable[[], T]) -> T:
        if self._place < place:
            raise CancelledError
        well = False
        try:
            result = task()
            well = True
            return result
        finally:
            if not well:
                with self._lock:
                    self._place = min(self._place, place)


class SharedValue(Generic[T]):
    """A value for several tasks: made by the first that needs it, let go of by the last.

    Args:
        make: Makes the value.
        users: How many tasks will use it.
    """

    def __init__(self, make: Callable[[], T], users: int) -> None:
        self._make, self._users = make, users
        self._lock = threading.Lock()
        self._made: list[T] = []

    @contextmanager
    def use(self) -> Iterator[T]:
        """The value, for as long as the block runs."""
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            value = self._made[0]
        try:
            yield value
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._made.clear()


class SparePool(Generic[T]):
    """Things that one thread at a time may use, such as buffers; made when there is none to spare.

    Args:
        make: Makes one.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._idle: list[T] = []

    @contextmanager
    def one(self) -> Iterator[T]:
        """One of them, nobody else's for as long as the block runs."""
        try:
            item = self._idle.pop()  # one step for all threads
        except IndexError:
            item = self._make()
        try:
            yield item
        finally:
            self._idle.append(item)
