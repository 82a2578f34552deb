"""Items, tasks, and the three splits."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

SPLITS = ("train", "search", "test")
"""Domain models learn on `train`, settings are searched on `search`, figures come from `test`."""

OPEN = "open"
"""The train split's wordings with made-up words for fillers, without end: domain models learn on it
beside `train`, so that they read a name instead of memorising it."""

_MAX_DIGITS = 18

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Item:
    """One question with its reference answer."""

    domain: str
    task: str
    prompt: str
    answer: str

    def identity(self) -> list[str]:
        """Everything that decides the marks of this item."""
        return [self.prompt, self.answer]


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of question: draws items and scores replies exactly."""

    name: str
    """Unique within its domain."""
    draw: Callable[[random.Random, str], tuple[str, str]]
    """Draws one `(prompt, answer)` from the fillers and wordings of a split."""
    read: Callable[[str], object]
    """The part of a reply that counts; None if it has none."""

    def score(self, answer: str, reply: str) -> bool:
        """Return True if `reply` says what `answer` says."""
        read = self.read(reply)
        return read is not None and read == self.read(answer)


def wordings(options: Sequence[T], split: str) -> Sequence[T]:
    """The wordings a split may use: three fifths shared by all, one fifth of its own.

    Of every five options the fourth appears in `search` only and the fifth in `test` only, to
    expose a model that memorised sentences.
    """
    extra = {"search": 3, "test": 4}.get(split, -1)
    return [option for place, option in enumerate(options) if place % 5 < 3 or place % 5 == extra]


def in_split(place: int, split: str) -> bool:
    """Return True if the filler numbered `place` belongs to `split`; each belongs to one split."""
    return {3: "search", 4: "test"}.get(place % 5, "train") == split


def fillers(options: Sequence[T], split: str) -> Sequence[T]:
    """The names and things of one split; no two splits share any."""
    return [option for place, option in enumerate(options) if in_split(place, split)]


SYLLABLES = (
    *("ba", "be", "bra", "ca", "co", "da", "de", "fa", "fi", "ga", "ge", "ha", "jo", "ka", "la"),
    *("le", "ma", "mi", "na", "ne", "pa", "po", "ra", "ro", "sa", "se", "ta", "ti", "va", "vi"),
)
CLOSINGS = tuple("n l r m x ck nd rt st lm sk rd nt ll ss p t g".split())


def made_up(rng: random.Random, ending: str = "") -> str:
    """A meaningless word: one or two syllables, a closing and `ending`."""
    word = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 2)))
    return word + rng.choice(CLOSINGS) + ending


def name_filler(rng: random.Random, options: Sequence[str], split: str, ending: str = "") -> str:
    """Draw one filler of `split`; for `OPEN` a made-up word with `ending`."""
    return made_up(rng, ending) if split == OPEN else rng.choice(fillers(options, split))


def pick(rng: random.Random, options: Sequence[T], split: str) -> T:
    """Draw one wording of `split`."""
    return rng.choice(wordings(options, split))


def last_number(text: str) -> int | None:
    """The last whole number in `text`; None if there is none, or it is too long."""
    # Superscripts and circled numbers are digits too, but int() does not read them.
    digits = "".join(c if c.isdecimal() else " " for c in text).split()
    return int(digits[-1]) if digits and len(digits[-1]) <= _MAX_DIGITS else None


def letter_in_brackets(text: str) -> str | None:
    """The first A or B in brackets."""
    match = re.search(r"\(([AB])\)", text)
    return match and match[1]


def only_label(text: str, labels: Sequence[str]) -> str | None:
    """The one label that `text` names; None if it names none or several."""
    words = "".join(c if c.isalpha() else " " for c in text.lower()).split()
    labels_in_text = {label for label in labels if label in words}
    return labels_in_text.pop() if len(labels_in_text) == 1 else None


def plain(text: str) -> str:
    """`text` without case, outer space and closing full stop, for exact comparison."""
    return " ".join(text.lower().split()).rstrip(".").strip()
