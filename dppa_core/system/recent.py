"""A thread-safe cache of the most recently used results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from cachetools import LRUCache

T = TypeVar("T")


class Recent:
    """A least-recently-used cache of `size` results, 0 for none; thread-safe, unlike cachetools.

    With `measure`, of results of this sum; a larger one is not kept.
    """

    def __init__(self, size: int, measure: Callable[[Any], int] | None = None) -> None:
        self._kept: LRUCache[Hashable, Any] = LRUCache(size, measure)
        self._lock = threading.Lock()

    def find(self, key: Hashable) -> Any | None:
        """The result for `key`, or None."""
        with self._lock:
            return self._kept.get(key)

    def made_of(self, owner: object, key: Hashable, make: Callable[[], T]) -> T:
        """The cached result of `make` for this owner, else a new one that replaces it."""
        entry: tuple[object, T] | None = self.find(key)
        if entry is None or entry[0] is not owner:
            entry = self.keep(key, (owner, make()))
        return entry[1]

    def keep(self, key: Hashable, value: Any) -> Any:
        """Keep a result, and return it."""
        with self._lock:
            if self._kept.getsizeof(value) <= self._kept.maxsize:
                self._kept[key] = value
        return value
