"""Regular expressions of strangers: refused where they would take much time or memory."""

from __future__ import annotations

import re
from functools import lru_cache
from re import _constants, _parser  # type: ignore[attr-defined]  # the tree that `re` compiles
from typing import Any

import regex

from dppa_core.errors import InvalidValue, shown
from dppa_core.tasks.items import plain

MAX_SECONDS = 0.2
"""Most time of a search."""
MAX_PATTERN_CHARACTERS, MAX_PATTERN_PARTS = 200, 10_000
"""Characters of a pattern, and its parts with those that counts repeat: some 5 MB, compiled."""
_MAX_READ_CHARACTERS = 2000
"""Characters of a reply that a pattern reads."""
_PROBE_SECONDS, _MAX_CACHED_PATTERNS = 0.05, 4
_PROBES = tuple(40 * text + "\n!" for text in ("a", "0", " ", "a1 ", "0.", "ab,"))
_FUZZY = re.compile(r"(?<!\\)(?:\\\\)*\{(?!\d+(?:,\d*)?\}|,\d+\})")
"""A brace that is no count: the package regex would match approximately."""
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)


def pattern_finds(pattern: str, text: str, seconds: float = MAX_SECONDS) -> str | None:
    """The first group of a checked pattern in the first 2,000 characters, in plain form.

    None if it finds nothing; empty if it has no group.

    Raises:
        TimeoutError: it takes longer than `seconds`.
    """
    match = _compiled(pattern).search(text[:_MAX_READ_CHARACTERS], timeout=seconds)
    if match is None:
        return None
    return plain(match[1] or "") if match.re.groups else ""


@lru_cache(_MAX_CACHED_PATTERNS)
def _compiled(pattern: str) -> Any:
    compiled = regex.compile(pattern, cache_pattern=False)
    regex.purge()  # or it would remember the text of every pattern for ever
    return compiled


def check_pattern(pattern: object) -> None:
    """Raise InvalidValue for an expression that is none, too long, too large, or too slow."""
    rule = f"pattern must be a regular expression of 1 to {MAX_PATTERN_CHARACTERS} characters"
    if not isinstance(pattern, str) or not 0 < len(pattern) <= MAX_PATTERN_CHARACTERS:
        raise InvalidValue(f'{rule}, got {shown(pattern)}. As "pattern": "answer is ([0-9]+)".')
    try:
        compiled, tree = re.compile(pattern), _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidValue(f"{rule} of Python ({error}), got {shown(pattern)}.") from error
    if compiled.groups > 1 or _FUZZY.search(pattern):
        raise InvalidValue(
            f"the pattern {shown(pattern)} may have one group, which is compared with the "
            r"answer's; others are written (?:…), and a brace that is no count \{."
        )
    if (parts := _count_parts(tree)) > MAX_PATTERN_PARTS:
        raise InvalidValue(
            f"the pattern {shown(pattern)} has {parts} parts; at most {MAX_PATTERN_PARTS:,} are "
            "read. A count inside another, as (?:[ab]{1000}){1000}, is the usual cause: + and * "
            "have no count."
        )
    if _is_slow(pattern):
        raise InvalidValue(
            f"the pattern {shown(pattern)} takes too long: a repetition inside another, "
            "as (a+)+, is the usual cause."
        )


def _count_parts(tree: Any) -> int:
    """Nodes of a tree of `re`, repeated as often as their counts say: regex compiles each copy."""
    if not isinstance(tree, tuple | list | _parser.SubPattern):
        return 0
    if isinstance(tree, tuple) and tree[0] in _REPEATS:
        least, most, repeated = tree[1]
        count = least if most is _constants.MAXREPEAT else most
        return 1 + max(int(count), 1) * _count_parts(repeated)
    node = isinstance(tree, tuple) and isinstance(tree[0], type(_constants.LITERAL))
    return int(node) + sum(map(_count_parts, tree))


@lru_cache(100)
def _is_slow(pattern: str) -> bool:
    try:
        for probe in _PROBES:
            pattern_finds(pattern, probe, _PROBE_SECONDS)
    except TimeoutError:
        return True
    return False
