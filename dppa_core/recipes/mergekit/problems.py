"""Collects the problems of a recipe, so that people read all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from dppa_core.errors import DppaError, InvalidRecipe, NoCounterpart

T = TypeVar("T")


@dataclass(slots=True)
class Problems:
    """What is wrong with a recipe so far."""

    errors: list[DppaError] = field(default_factory=list)

    def add(self, error: DppaError) -> None:
        """Add a problem once."""
        if str(error) not in map(str, self.errors):
            self.errors.append(error)

    def run(self, read: Callable[[], T], fallback: T) -> T:
        """The result of a reading, or the fallback if it fails, with its problem added."""
        try:
            return read()
        except (InvalidRecipe, NoCounterpart) as error:
            self.add(error)
            return fallback

    def check(self, hint: str = "") -> None:
        """Raise the problems as one error, if there are any; `hint` stands at its end.

        Raises:
            InvalidRecipe: one of them is that.
            NoCounterpart: all of them are.
        """
        if not self.errors:
            return
        texts = [str(error) for error in self.errors]
        if len(texts) > 1:
            listed = " ".join(f"({number}) {text}" for number, text in enumerate(texts, 1))
            texts = [f"{len(texts)} problems. {listed}"]
        broken = any(isinstance(error, InvalidRecipe) for error in self.errors)
        raise (InvalidRecipe if broken else NoCounterpart)(f"{texts[0]} {hint}".strip())
