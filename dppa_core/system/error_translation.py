"""Other people's code on other people's files: whatever it raises becomes one clear line.

Knows neither. Only calls into other libraries belong inside: an error of our own must surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from dppa_core.errors import DamagedCheckpoint, DppaError
from dppa_core.system.shortage import shortage

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class ForeignCode:
    """A context in which every exception of another library turns into `DamagedCheckpoint`.

    Transformers, tokenizers and chat templates raise whatever they meet on a damaged file:
    KeyError, ZeroDivisionError, a panic of Rust. Errors of this package pass unchanged; memory
    that ran out is told as that.
    """

    what: str
    """What could not be done to which file, as "folder: its tokenizer cannot be read"."""
    cause: str
    """The usual cause, as a sentence."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A panic of Rust code is no Exception; memory that runs out is nobody's fault.
        theirs = isinstance(error, Exception) or type(error).__name__ == "PanicException"
        if error is None or not theirs or isinstance(error, (DppaError, MemoryError)):
            return
        lacking = shortage(error)
        if lacking is not None:
            raise lacking from error
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        reason = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}…"
        raise DamagedCheckpoint(f"{self.what} ({reason}). {self.cause}") from error
