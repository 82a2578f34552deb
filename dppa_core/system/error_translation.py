"""Turns errors of other libraries on a user's files into one clear line.

Put only calls into other libraries inside: our own bugs must surface.
"""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.errors import DamagedCheckpoint, DppaError, printable
from dppa_core.system.shortage import shortage

_MAX_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class ForeignCode:
    """A context in which every exception of another library turns into `DamagedCheckpoint`.

    On a damaged file transformers, tokenizers and chat templates raise anything: KeyError,
    ZeroDivisionError, a Rust panic. Errors of this package pass unchanged; a lack of memory becomes
    `OutOfBudget`.
    """

    failure: str
    """The file and the failure, as "folder: its tokenizer cannot be read"."""
    cause: str
    """The usual cause, as a sentence."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # A Rust panic is not an Exception.
        theirs = isinstance(error, Exception) or type(error).__name__ == "PanicException"
        if error is None or not theirs or isinstance(error, (DppaError, MemoryError)):
            return
        lacking = shortage(error)
        if lacking is not None:
            raise lacking from error
        reason = printable(" ".join(f"{type(error).__name__}: {error}".split()))
        reason = reason if len(reason) <= _MAX_CHARACTERS else f"{reason[:_MAX_CHARACTERS]}…"
        raise DamagedCheckpoint(f"{self.failure} ({reason}). {self.cause}") from error
