"""What merges on the same models have in common, kept for the next one.

Knows open checkpoints and values made of them. What was made of a file is forgotten once the
file is another.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.safetensors_reader import file_identity
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.progress import Progress, Stop
from dppa_core.system.recent import Recent

T = TypeVar("T")
SIZE = 64


class OpenModels:
    """Open checkpoints, profiles and the like; those unused for longest leave.

    Safe for many threads. A checkpoint on it is headers and mapped files: the system takes back
    the memory of what was read.

    Args:
        size: How many things it holds; with 0 everything is made anew.
    """

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._things = Recent(size)

    def checkpoint(
        self,
        reference: str,
        *,
        public: bool = False,
        progress: Progress | None = None,
        stop: Stop | None = None,
    ) -> Checkpoint:
        """As `open_checkpoint`, or the one that is open, if its files are still the same."""
        key = reference, public
        found: Checkpoint | None = self._things.find(key)
        if found is not None and all(
            file_identity(path) == before for path, before in found.identities().items()
        ):
            return found
        opened = open_checkpoint(reference, public=public, progress=progress, stop=stop)
        self._things.keep(key, opened)
        return opened

    def put(self, reference: str, checkpoint: Checkpoint, *, public: bool = False) -> None:
        """Lay an open checkpoint on it, under the reference a recipe has for it.

        Args:
            reference: As a recipe writes it; no folder of that name is looked for.
            checkpoint: What is merged in its place.
            public: As in the `checkpoint` that asks for it.
        """
        self._things.keep((reference, public), checkpoint)

    def value(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` makes, or has made for this key before.

        Args:
            key: All that the value depends on; of files their identities.
            make: Makes it.
        """
        found: T | None = self._things.find(key)
        if found is None:
            found = self._things.keep(key, make())
        return found

    @property
    def keeps(self) -> bool:
        """Whether it holds anything at all."""
        return self._size > 0

    def known(self, key: Hashable) -> bool:
        """Whether there is a value for a key."""
        return self._things.find(key) is not None
