"""Messages between the asking and the answering process, over a socket.

Both are this program: messages are pickled values, and never come from elsewhere.
"""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection

from dppa_core.answering.answerer import ReplyEvent
from dppa_core.errors import DppaError
from dppa_core.models.reply import GenerationSettings, Prompt, Reading
from dppa_core.recipes.yaml_text import MergeRecipe


@dataclass(frozen=True, slots=True)
class Begin:
    """First message to the answering process."""

    byte_budget: int
    public: bool
    workers: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A question."""

    number: int
    target: str | MergeRecipe
    prompt: Prompt
    reply: GenerationSettings | str
    """Settings of a reply, or a text to be read as one."""


@dataclass(frozen=True, slots=True)
class End:
    """The caller has stopped waiting for that answer."""

    number: int


@dataclass(frozen=True, slots=True)
class ReplyStep:
    """One step of an answer, or a `Reading`; None after the last."""

    number: int
    event: ReplyEvent | Reading | DppaError | None


@dataclass(frozen=True, slots=True)
class Broken:
    """A bug ended an answer."""

    number: int
    trace: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """Models in memory."""

    keys: tuple[str, ...]
    nbytes: int


Message = Begin | Ask | End | ReplyStep | Broken | Loaded


class MessageLine:
    """One end of the socket. Any thread may send; one receives."""

    def __init__(self, end: socket.socket) -> None:
        self._connection: Connection = Connection(end.detach())
        self._sending = threading.Lock()

    def send(self, message: Message) -> bool:
        """Send a message; False if the other process cannot receive it."""
        try:
            with self._sending:
                self._connection.send(message)
        except (OSError, ValueError):  # ended, or closed by this one
            return False
        return True

    def receive(self) -> Message | None:
        """The next message; None once the other process has ended."""
        try:
            received: Message = self._connection.recv()
        except (EOFError, OSError):
            return None
        return received

    def close(self) -> None:
        """Send nothing more."""
        self._connection.close()
