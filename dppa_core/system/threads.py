"""Runs tasks in threads: the loops over weights release the interpreter lock.

Results, and the first error, come in the order of the tasks for any number of workers.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from typing import Generic, TypeVar

from threadpoolctl import ThreadpoolController

from dppa_core.errors import InvalidValue

T = TypeVar("T")


def available_cores() -> int:
    """Cores this process may use; in a container or job fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_count(workers: int | None) -> int:
    """The given number of workers; all available cores if None.

    Raises:
        InvalidValue: less than one.
    """
    if workers is None:
        return available_cores()
    if workers < 1:
        raise InvalidValue(f"workers must be 1 or more, got {workers}; unset, it is every core.")
    return workers


def side_by_side(tasks: Iterable[Callable[[], T]], workers: int) -> Generator[T, None, None]:
    """The results of all tasks, in order.

    After an error, or when the caller stops iterating, no further task begins; running tasks are
    awaited.

    Args:
        workers: Number of threads. With 1 the calling thread does all the work.
    """
    if workers == 1:
        for task in tasks:
            yield task()
        return
    executor = ThreadPoolExecutor(workers, thread_name_prefix="dppa")
    failed = _FirstFailure()
    try:
        waiting = deque(executor.submit(failed.watch, n, task) for n, task in enumerate(tasks))
        while waiting:  # keeps no reference to the result
            yield waiting.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)


class _FirstFailure:
    """Skips tasks after the first failed one; earlier tasks still run."""

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
    """A value shared by several tasks: the first user makes it, the last one drops it."""

    def __init__(self, make: Callable[[], T], users: int) -> None:
        self._make, self._users = make, users
        self._lock = threading.Lock()
        self._values: list[T] = []

    @contextmanager
    def use(self) -> Iterator[T]:
        """The value, for the duration of the block."""
        with self._lock:
            if not self._values:
                self._values.append(self._make())
            value = self._values[0]
        try:
            yield value
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._values.clear()


class SparePool(Generic[T]):
    """A pool of objects such as buffers, each for one thread at a time; made when none is idle."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._idle: list[T] = []

    @contextmanager
    def use(self) -> Iterator[T]:
        """An object for exclusive use within the block."""
        try:
            item = self._idle.pop()  # atomic
        except IndexError:
            item = self._make()
        try:
            yield item
        finally:
            self._idle.append(item)


class _ThreadLimit:
    """The process's limit to one thread, held while any block is inside."""

    def __init__(self) -> None:
        self._lock, self._blocks, self._limit = threading.Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._blocks:
                self._limit.enter_context(_blas().limit(limits=1, user_api="blas"))
            self._blocks += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                self._limit.close()


_limit = _ThreadLimit()


def one_blas_thread() -> AbstractContextManager[None]:
    """Products in the block take one thread: several beside other threads are 30 times slower.

    It holds until the last of several threads has left its block.
    """
    return _limit


@cache
def _blas() -> ThreadpoolController:
    """Made once: it looks at all loaded libraries."""
    return ThreadpoolController()
