"""The calibration text of a model: questions of the embedded tasks, or a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dppa_core.checkpoints.sources.zoo import zoo_domain
from dppa_core.errors import InvalidRecipe, InvalidValue, NotAllowed, shown
from dppa_core.parameter_fields import check_keys, check_number
from dppa_core.tasks import DOMAINS, KNOWN_DOMAINS, tasks_of

DEFAULT_TOKENS = 4096
"""Default number of tokens."""
_MAX_TOKENS = 10_000_000
_MAX_PATH_CHARACTERS = 4096
_KEYS = ("tasks", "text", "tokens")


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibration text, and how much of it is read."""

    tasks: tuple[str, ...] = ()
    """Domains of the embedded tasks; their train questions are read, domains in turn."""
    text: str = ""
    """Or a local file: plain text in UTF-8."""
    tokens: int = DEFAULT_TOKENS
    """Most tokens, including the special tokens of chat templates."""

    def __post_init__(self) -> None:
        if bool(self.text) == bool(self.tasks):
            raise InvalidValue(
                "calibration needs either tasks or text: {tasks: [math]}, or {text: PATH}."
            )
        for name in self.tasks:
            tasks_of(name)
        if len(set(self.tasks)) != len(self.tasks):
            raise InvalidValue(f"calibration: a task twice in {shown(list(self.tasks))}.")
        check_number("calibration: tokens", self.tokens, 2, _MAX_TOKENS)

    def values(self) -> dict[str, Any]:
        """The values as in a recipe."""
        source: dict[str, Any] = {"text": self.text} if self.text else {"tasks": list(self.tasks)}
        return {**source, "tokens": self.tokens}

    @property
    def summary(self) -> str:
        """A short description."""
        source = self.text or f"questions of {', '.join(self.tasks)} (train split)"
        return f"{source}, at most {self.tokens} tokens"

    def check_public(self) -> None:
        """Raise NotAllowed for a local file, which a public page must not read."""
        if self.text:
            raise NotAllowed(
                "calibration: files of this computer are not read on a public page; allowed are "
                f"tasks: {', '.join(KNOWN_DOMAINS)}. Others work in your own copy."
            )


def calibration_from(value: Any, place: str) -> Calibration | None:
    """The calibration in a recipe; None if unset."""
    if value is None or isinstance(value, Calibration):
        return value
    if not isinstance(value, Mapping):
        raise InvalidRecipe(
            f"{place} must be a mapping as {{tasks: [math], tokens: {DEFAULT_TOKENS}}} or {{text: "
            f"PATH}}, got {shown(value)}."
        )
    check_keys(value, _KEYS, place)
    tasks, text = value.get("tasks") or [], value.get("text") or ""
    if not isinstance(tasks, (list, tuple)) or not all(isinstance(name, str) for name in tasks):
        raise InvalidValue(f"tasks must be a list such as [math], got {shown(tasks)}.")
    if not isinstance(text, str) or len(text) > _MAX_PATH_CHARACTERS:
        raise InvalidValue(f"text must be the path of a file, got {shown(text)}.")
    tokens = check_number("tokens", value.get("tokens", DEFAULT_TOKENS), 2, _MAX_TOKENS)
    if tokens != int(tokens):
        raise InvalidValue(f"tokens must be a whole number, got {tokens:g}.")
    return Calibration(tuple(tasks), text, int(tokens))


def calibration_from_words(words: str, tokens: int | None = None) -> Calibration:
    """The calibration from a command line: domains, as "math,law", or a file's path."""
    count = DEFAULT_TOKENS if tokens is None else tokens
    names = tuple(name.strip() for name in words.split(","))
    if all(name in DOMAINS for name in names):
        return Calibration(names, tokens=count)
    return Calibration(text=words, tokens=count)


def calibration_of(model: str, *candidates: Calibration | None) -> Calibration:
    """The calibration of a domain model: the first one set, else questions of its own domain.

    Args:
        candidates: Its own calibration, then the recipe's.

    Raises:
        InvalidValue: none is set, and it is not an embedded domain model.
    """
    for candidate in candidates:
        if candidate is not None:
            return candidate
    domain = zoo_domain(model)
    if domain:
        return Calibration((domain,))
    raise InvalidValue(
        f"{shown(model)} needs calibration text: add "
        "`calibration: {text: PATH}` or `calibration: {tasks: [math]}` to the recipe or to the "
        "model. Only embedded domain models have a text of their own."
    )
