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
  x Unreachable                   the Hugging Face Hub does not answer
  x Cancelled                     someone pressed stop
  * CheckpointError
    x MissingCheckpoint           no weights there
    x DamagedCheckpoint           weights that cannot be read
    x IncompatibleCheckpoints     weights that cannot be merged
    x NonFiniteWeights            NaN or infinity among the weights
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_CONTROLS = (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F))
_ESCAPED = {code: repr(chr(code))[1:-1] for code in (*_CONTROLS, *range(0x2066, 0x206A))}
"""Control characters and those that turn the direction of writing, as Python writes them."""


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
    """The Hugging Face Hub does not answer."""


class Cancelled(DppaError):
    """Stopped by the person who started it."""


class CheckpointError(DppaError):
    """A fault of weights on disk."""


class MissingCheckpoint(CheckpointError):
    """No weights at that place."""


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


def printable(text: str) -> str:
    """A text of others for a terminal: control characters escaped, except tab and line feed."""
    return text.translate(_ESCAPED)


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
