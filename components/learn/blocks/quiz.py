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
    """Why it is right, or wrong."""
    right: bool


@dataclass(frozen=True, slots=True)
class Quiz:
    """A question with one right choice."""

    html: str
    choices: tuple[Choice, ...]


def read_quiz(data: Mapping[str, Any], inline: Callable[[str], str], where: str) -> Quiz:
    """Read {"ask", "choices": [{"text", "why", "right": true for one of them}]}; raises
    InvalidValue. `inline` turns Markdown of one line into safe HTML; `where` is for messages."""
    choices = data.get("choices")
    if data.keys() != {"ask", "choices"} or not isinstance(choices, list):
        raise InvalidValue(f"{where}: a quiz has ask and choices, got {sorted(map(str, data))}.")
    low, high = CHOICES
    if not low <= len(choices) <= high:
        raise InvalidValue(f"{where}: a quiz has {low} to {high} choices, got {len(choices)}.")
    read = tuple(_choice(one, inline, where) for one in choices)
    if sum(one.right for one in read) != 1:
        raise InvalidValue(f"{where}: exactly one choice of a quiz is right.")
    return Quiz(inline(str(data["ask"])), read)


def _choice(value: object, inline: Callable[[str], str], where: str) -> Choice:
    if not isinstance(value, dict) or not {"text", "why"} <= value.keys() <= {
        "text",
        "why",
        "right",
    }:
        raise InvalidValue(f"{where}: a choice has text, why and perhaps right: {shown(value)}.")
    return Choice(inline(str(value["text"])), inline(str(value["why"])), value.get("right") is True)
