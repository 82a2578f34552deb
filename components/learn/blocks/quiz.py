"""A multiple-choice question with an explanation of each answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dppa_core.errors import InvalidValue, shown

CHOICES = (2, 5)
"""Fewest and most answers to choose from."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer, as safe HTML."""

    html: str
    why: str
    """The reason why it is right, or wrong."""
    right: bool


@dataclass(frozen=True, slots=True)
class Quiz:
    """A question with one right choice."""

    html: str
    choices: tuple[Choice, ...]


def read_quiz(data: Mapping[str, Any], inline: Callable[[str], str], position: str) -> Quiz:
    """Read {"ask", "choices": [{"text", "why", "right": true for one of them}]}; raises
    InvalidValue. `inline` turns Markdown of one line into safe HTML; `position` is for messages."""
    values = data.get("choices")
    if data.keys() != {"ask", "choices"} or not isinstance(values, list):
        raise InvalidValue(f"{position}: a quiz has ask and choices, got {sorted(map(str, data))}.")
    low, high = CHOICES
    if not low <= len(values) <= high:
        raise InvalidValue(f"{position}: a quiz has {low} to {high} choices, got {len(values)}.")
    choices = tuple(_choice(value, inline, position) for value in values)
    if sum(choice.right for choice in choices) != 1:
        raise InvalidValue(f"{position}: exactly one choice of a quiz is right.")
    return Quiz(inline(str(data["ask"])), choices)


def _choice(value: object, inline: Callable[[str], str], position: str) -> Choice:
    keys = {"text", "why", "right"}
    if not isinstance(value, dict) or not {"text", "why"} <= value.keys() <= keys:
        raise InvalidValue(f"{position}: a choice has text, why and perhaps right: {shown(value)}.")
    return Choice(inline(str(value["text"])), inline(str(value["why"])), value.get("right") is True)
