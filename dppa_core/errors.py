"""The errors of this package, as a tree.

Users read messages unchanged: a message names the thing, the value, what is allowed and the usual
cause.

* DppaError
  x InvalidValue                  a number or choice outside its range
  x InvalidRecipe                 a recipe that cannot be read
  x UnknownName                   no method, task or embedded model of that name
  x NoCounterpart                 a recipe that another tool, or this one, cannot express
  x NotAllowed                    refused here: folders on a public page, links out of a model
  x OutOfBudget                   more memory or disk than this process may use
  x Unreachable                   the Hugging Face Hub, or another server, does not answer
  x Cancelled                     someone pressed stop
  * CheckpointError
    x MissingCheckpoint           no weights there
    x DamagedCheckpoint           weights that cannot be read
    x IncompatibleCheckpoints     weights that cannot be merged
    x NonFiniteWeights            NaN or infinity among the weights
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

_CONTROLS = (*range(32), *range(127, 160), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
"""Control characters, ends of lines, and what turns the direction of writing."""


class DppaError(Exception):
    """Base class of every error this package foresees."""


class InvalidValue(DppaError):
    """A number or a choice outside its range."""


class InvalidRecipe(DppaError):
    """A recipe that cannot be read, or that contradicts itself."""


class UnknownName(DppaError):
    """No method, task or embedded model has that name."""


class NoCounterpart(DppaError):
    """A recipe of one tool that the other tool cannot express."""


class NotAllowed(DppaError):
    """Refused in this place or in this version."""


class OutOfBudget(DppaError):
    """More memory or disk than this process may use."""


class Unreachable(DppaError):
    """The Hugging Face Hub, or another server, does not answer."""


class Cancelled(DppaError):
    """Stopped by the person who started it."""


class CheckpointError(DppaError):
    """A fault of weights on disk."""


class MissingCheckpoint(CheckpointError):
    """No weights at that place."""


class UnmergedStage(MissingCheckpoint):
    """A recipe stands for its merge, which is not made yet."""


class DamagedCheckpoint(CheckpointError):
    """The weights cannot be read."""


class IncompatibleCheckpoints(CheckpointError):
    """Two checkpoints that have no delta: other names, shapes or dtypes."""


class NonFiniteWeights(CheckpointError):
    """NaN or infinity among the weights, or a value too large for the chosen dtype."""


def shown(value: object, longest: int = 80) -> str:
    """An external value for a message: on one line, printable, shortened.

    Args:
        value: Anything; a text comes back in quotes.
        longest: Most characters of the result.
    """
    try:
        text = repr(value)
    except ValueError:  # a whole number of more than 4300 digits, somewhere inside
        text = f"a {type(value).__name__} too long to be written"
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]}…{text[-(longest // 2 - 1) :]}"


def as_required(error: Mapping[str, Any]) -> str:
    """What a value must be, and the value: one of the errors of pydantic, which checked it."""
    text = str(error["msg"]).removeprefix("Value error, ")
    rule = text.removeprefix("Input should be ").partition(", unable")[0]
    if error["type"] == "missing" or rule == text:
        return "is missing" if error["type"] == "missing" else text
    rule = rule.replace("a valid integer", "a whole number").replace("a valid ", "a ")
    return f"must be {rule}, got {shown(error['input'])}"


def printable(text: str, keep: str = "\t\n") -> str:
    """A text of others for a terminal or a log: control characters escaped, except those kept."""
    return text.translate(_escapes(keep))


@cache
def _escapes(keep: str) -> dict[int, str]:
    return {code: repr(chr(code))[1:-1] for code in _CONTROLS if chr(code) not in keep}


def trace_text(error: BaseException, *, messages: bool) -> str:
    """The trace of an error and its causes, for a log.

    Args:
        messages: Whether the errors' texts are included; they may quote what somebody sent.
    """
    lines = traceback.format_exception(error) if messages else _places(error, set())
    return "".join(lines).rstrip("\n")


def _places(error: BaseException, seen: set[int]) -> Iterator[str]:
    """The frames and the class of an error, after those of its causes and parts."""
    seen.add(id(error))
    context = None if error.__suppress_context__ else error.__context__
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for cause in (error.__cause__ or context, *parts):
        if cause is not None and id(cause) not in seen:
            yield from _places(cause, seen)
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"


def many(count: int, one: str, several: str = "") -> str:
    """A count with its word: "1 token", "3 tokens"; `several` is an irregular plural."""
    return f"{count} {one if count == 1 else several or one + 's'}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the closest known name, or all of them."""
    names = sorted(known)
    return closest(name, names) or f"Known: {', '.join(names) or 'none'}."


def closest(name: str, known: Iterable[str]) -> str:
    """A hint with the closest known name; empty if none is close."""
    close = get_close_matches(name, sorted(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else ""
