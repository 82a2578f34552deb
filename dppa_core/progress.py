"""Progress reports of long work, and requests to stop it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypedDict, runtime_checkable

from dppa_core.errors import Cancelled

Progress = Callable[[int, int, str], None]
"""Called with (done, total, current item); `done` never falls."""


@runtime_checkable
class Stop(Protocol):
    """A request to stop; `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether the work should end."""
        ...


class RunControl(TypedDict, total=False):
    """The two arguments that a function passes on to the long work it calls."""

    progress: Progress | None
    stop: Stop | None


def check(stop: Stop | None) -> None:
    """Raise `Cancelled` when `stop` is set."""
    if stop is not None and stop.is_set():
        raise Cancelled("Stopped before the end, as asked. Nothing was changed.")


def report(progress: Progress | None, done: int, total: int, what: str) -> None:
    """Call `progress`, if there is one."""
    if progress is not None:
        progress(done, total, what)
