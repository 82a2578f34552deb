"""Results of slow questions, the most recently used of them, for many threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from cachetools import LRUCache

T = TypeVar("T")


class Recent:
    """The most recently used results; the one unused for longest leaves.

    Safe for many threads, which cachetools leaves to its users.

    Args:
        size: How many it keeps; with 0 none.
    """

    def __init__(self, size: int) -> None:
        self._kept: LRUCache[Hashable, Any] = LRUCache(size)
        self._lock = threading.Lock()

    def find(self, key: Hashable) -> Any | None:
        """The result kept for `key`, or None."""
        with self._lock:
            return self._kept.get(key)

    def made_of(self, owner: object, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` made of this owner before, or makes now; of another one it is forgotten."""
        found: tuple[object, T] | None = self.find(key)
        if found is None or found[0] is not owner:
            found = self.keep(key, (owner, make()))
        return found[1]

    def keep(self, key: Hashable, value: Any) -> Any:
        """Keep a result, and return it."""
        with self._lock:
            if self._kept.maxsize:
                self._kept[key] = value
        return value
