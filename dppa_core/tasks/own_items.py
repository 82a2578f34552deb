"""Questions of one's own: their scorers, and the domain they make."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from dppa_core.errors import InvalidValue, many
from dppa_core.tasks.items import Item, plain
from dppa_core.tasks.patterns import pattern_finds

SEARCH, TEST, ALL = "search", "test", "all"
LETTERS = "ABCDEFGHIJ"
"""The letters of choices; so many choices at most."""
_MAX_READ_CHARACTERS = 2000
"""Characters of a reply that an expression reads."""
_NUMBER = re.compile(r"(?<![\w.,])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\d+(?:\.\d+)?")
_AMOUNT = re.compile(rf"[$€£¥]?\s?(?:{_NUMBER.pattern})\s?(?:%|[^\W\d_]{{2,}})?")
"""A number, with a sign of currency or a unit (a word of two letters or more), or without."""


@dataclass(frozen=True, slots=True)
class OwnItem(Item):
    """A question of one's own; `task` is its scorer, `prompt` the question with its choices."""

    question: str = ""
    choices: tuple[str, ...] = ()
    """At most 10, for the scorer `choice`; the answer is then a letter."""
    pattern: str = ""
    """The regular expression of the scorer `regex`."""

    def right(self, reply: str) -> bool:
        """Return True if `reply` is right, by the scorer."""
        return SCORERS[self.task](self, reply)

    def identity(self) -> list[str]:
        """Everything that decides the marks of this item."""
        return [self.prompt, self.answer, self.task, *self.choices, self.pattern]


def question_text(question: str, choices: Iterable[str]) -> str:
    """The prompt of a question: itself, and its choices by letter."""
    lines = [f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False)]
    return "\n".join([question, *lines, "Answer with the letter."] if lines else [question])


def _exact(item: OwnItem, reply: str) -> bool:
    return plain(reply) == plain(item.answer) != ""


def _number(item: OwnItem, reply: str) -> bool:
    number = last_decimal(reply)
    return number is not None and number == last_decimal(item.answer)


def usual_scorer(answer: str, choices: Sequence[str]) -> str:
    """The scorer of an item that names none: `number` for a number, as 5, $5 or 5 apples."""
    if choices:
        return "choice"
    return "number" if _AMOUNT.fullmatch(answer) else "exact"


def last_decimal(text: str) -> Decimal | None:
    """The last number in `text`: with sign, decimals and thousands separators; None without one."""
    numbers = _NUMBER.findall(text[-_MAX_READ_CHARACTERS:])
    return Decimal(numbers[-1].replace(",", "")) if numbers else None


def _contains(item: OwnItem, reply: str) -> bool:
    answer = plain(item.answer)
    return answer != "" and bool(
        re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", plain(reply[:_MAX_READ_CHARACTERS]))
    )


def _choice(item: OwnItem, reply: str) -> bool:
    return chosen_letter(reply, item.choices) == item.answer


def chosen_letter(reply: str, choices: tuple[str, ...]) -> str | None:
    """The letter that a reply chooses; None for none or several.

    The first of these that is there: a letter at its beginning, alone or before . ) : or a comma; a
    letter after "answer", "option" or "choice"; a letter in brackets; the text of one choice.
    """
    letters, text = LETTERS[: len(choices)], reply.strip()[:_MAX_READ_CHARACTERS]
    for form in (
        rf"^\W*([{letters}{letters.lower()}])(?:\W*$|[).:,])",
        rf"\b(?:[Aa]nswer|[Oo]ption|[Cc]hoice)(?: is)?\W+([{letters}])\b",
        rf"\(([{letters}])\)",
    ):
        named_letters = set(re.findall(form, text))
        if named_letters:
            return named_letters.pop().upper() if len(named_letters) == 1 else None
    plain_text = plain(text)
    named = [
        letter
        for letter, choice in zip(letters, map(plain, choices), strict=True)
        if choice and re.search(rf"(?<!\w){re.escape(choice)}(?!\w)", plain_text)
    ]
    return named[0] if len(named) == 1 else None


def _regex(item: OwnItem, reply: str) -> bool:
    try:
        match = pattern_finds(item.pattern, reply)
    except TimeoutError:
        return False
    return match is not None and match == pattern_finds(item.pattern, item.answer)


SCORERS: Mapping[str, Callable[[OwnItem, str], bool]] = MappingProxyType(
    {
        "exact": _exact,
        "number": _number,
        "choice": _choice,
        "contains": _contains,
        "regex": _regex,
    }
)


class OwnDomain(str):
    """The name of a domain of one's own, with its items: goes wherever a domain's name goes.

    Equal to its name, so that one run must not have two of a name; `domain_key` tells contents
    apart. The items lie in the order of a hash, so that the order of a file does not count.

    Args:
        name: Unlike the embedded domains' names.
        items: At least one, all with different prompts.
        tokens: Most tokens of a reply; the usual number if None.
        whole: The test has all items, and the search none.
    """

    __slots__ = ("digest", "items", "tokens", "whole")
    items: tuple[OwnItem, ...]
    tokens: int | None
    whole: bool
    digest: str

    def __new__(
        cls,
        name: str,
        items: Iterable[OwnItem] = (),
        tokens: int | None = None,
        whole: bool = False,
    ) -> OwnDomain:
        """Sort the items and take the digest of what they are."""
        domain = super().__new__(cls, name)
        ordered = tuple(sorted(items, key=lambda item: (_hashed(item.question), item.prompt)))
        content = json.dumps(
            [[item.identity() for item in ordered], tokens, *(["whole"] if whole else [])]
        )
        digest = hashlib.sha256(content.encode()).hexdigest()
        fields = {"items": ordered, "tokens": tokens, "whole": whole, "digest": digest}
        for field, value in fields.items():
            object.__setattr__(domain, field, value)
        return domain

    def __setattr__(self, name: str, value: object) -> None:
        """Refused: a domain does not change."""
        raise AttributeError(f"{name} of a domain cannot be set")

    def __reduce__(self) -> Any:
        """As a call, for other processes."""
        return OwnDomain, (str(self), self.items, self.tokens, self.whole)

    def undivided(self) -> OwnDomain:
        """The same domain, whose test has all items."""
        return OwnDomain(str(self), self.items, self.tokens, whole=True)

    def of_split(self, split: str, most: int | None = None) -> tuple[OwnItem, ...]:
        """The items of a split, at most `most` of them.

        Raises:
            InvalidValue: neither search, test nor all, or no item in it.
        """
        if split not in (SEARCH, TEST, ALL):
            raise InvalidValue(
                f"{self}: own items have the splits search, test and all, got {split!r}."
            )
        items = [
            item
            for item in self.items
            if split in (ALL, TEST if self.whole else split_of(item.question))
        ]
        if not items:
            raise InvalidValue(
                f"{self}: no item for the {split} split. Half of the questions go to search and "
                f"half to test, by a hash; of {many(len(self.items), 'item')} all went to the "
                "other. Add questions."
            )
        return tuple(items[:most])


def _hashed(question: str) -> str:
    return hashlib.sha256(plain(question).encode()).hexdigest()


def split_of(question: str) -> str:
    """`search` or `test`: half each, by a hash of the question in plain form."""
    return SEARCH if int(_hashed(question)[-1], 16) % 2 else TEST


def domain_key(domain: str) -> str:
    """A text that differs for domains with other items: the name, with the digest of own items."""
    return f"{domain} {domain.digest}" if isinstance(domain, OwnDomain) else domain
