"""Bounds what the steps of a tokenizer.json make of a text, which tokenizers itself does not."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from dppa_core.checkpoints.folders.small_files import values_within

MAX_STEPS, MAX_GROWTH, MAX_PADDING = 100, 100, 1_000_000
"""Steps, times that a text may grow by all of them, and tokens that may be added to fill it up;
published tokenizers have some ten steps, and 18 times (a character that is a whole phrase)."""
_BYTES = 4
"""Characters that a step of bytes makes of one."""
_CHARACTER = r"\\[dswnrt.(){}?*+|^$\\]|\[\^?[^\[\]\\&^]+\]|[^\[\]\\(){}?*+|^$]"
"""Pattern of one character in Oniguruma, which reads operators and nested classes unlike `re`:
there `a{9}?` may match nothing."""


def check_growth(tokenizer: Mapping[str, Any]) -> None:
    """Raise ValueError if the steps of a tokenizer.json could make a text 100 times as long."""
    first, last, decoding = (
        [step for key in keys for step in _steps(tokenizer.get(key))]
        for keys in (("normalizer", "pre_tokenizer"), ("post_processor",), ("decoder",))
    )
    if (count := len(first) + len(last) + len(decoding)) > MAX_STEPS:
        raise ValueError(f"it has {count} steps; at most {MAX_STEPS} are read")
    repeats = prod(map(_sequences, last))
    growth = prod(map(_text_growth, first)) * repeats
    for direction, factor in (("read", growth), ("written", prod(map(_replaced, decoding)))):
        if factor > MAX_GROWTH:
            raise ValueError(
                f"its steps can make a text that is {direction} {factor:.3g} times as long; at "
                f"most {MAX_GROWTH} times are allowed"
            )
    counts = [(key, n) for key in ("padding", "truncation") for n in _integers(tokenizer.get(key))]
    for key, tokens in (*counts, ("post_processor", repeats * sum(map(_special_tokens, last)))):
        if tokens > MAX_PADDING:
            raise ValueError(f"its {key} is {tokens} tokens; at most {MAX_PADDING} are added")


def _tables(value: Any) -> Iterator[Mapping[str, Any]]:
    return (inner for _, inner in values_within(value) if isinstance(inner, Mapping))


def _steps(value: Any) -> Iterator[Mapping[str, Any]]:
    return (table for table in _tables(value) if isinstance(table.get("type"), str))


def _integers(value: Any) -> Iterator[int]:
    return (inner for _, inner in values_within(value) if type(inner) is int)


def _text_growth(step: Mapping[str, Any]) -> float:
    """Largest growth of a text by a step of normalizer or pre-tokenizer, as a factor."""
    if step["type"] == "ByteLevel":
        return _BYTES
    if step["type"] == "Prepend":
        return 1 + _length(step.get("prepend"))
    if step["type"] == "BertNormalizer":
        return 3  # blanks around each Chinese character
    if step["type"] == "Precompiled":
        return max(1, _longest_entry(step.get("precompiled_charsmap")))
    return _replaced(step)


def _replaced(step: Mapping[str, Any]) -> float:
    """Largest growth of a text by a replacement, as a factor; 1 for another step."""
    if step["type"] != "Replace":
        return 1
    pattern, content = step.get("pattern"), _length(step.get("content"))
    least = 0
    if isinstance(pattern, Mapping):
        least = _length(pattern.get("String")) or _least_match(pattern.get("Regex"))
    return max(1, content / least) if least else 1 + content


def _least_match(pattern: Any) -> int:
    """Characters that a regular expression of literals and classes matches; 0 for any other."""
    if not isinstance(pattern, str) or not re.fullmatch(f"(?:{_CHARACTER})+", pattern):
        return 0
    return len(re.findall(_CHARACTER, pattern))


def _longest_entry(charsmap: Any) -> int:
    """Characters of the longest replacement in a map of sentencepiece: a trie, then texts."""
    try:
        data = base64.b64decode(charsmap)
    except (ValueError, TypeError):
        return 0
    texts = data[4 + int.from_bytes(data[:4], "little") :].split(b"\0")
    return max(len(text.decode("utf-8", "ignore")) for text in texts)


def _sequences(step: Mapping[str, Any]) -> int:
    """Number of times that a post-processor repeats the text."""
    return max(1, sum("Sequence" in piece for piece in _tables(step.get("single"))))


def _special_tokens(step: Mapping[str, Any]) -> int:
    """Tokens that a post-processor adds at most."""
    pieces = _tables([step.get("single"), step.get("pair")])
    lists = (ids for _, ids in values_within(step.get("special_tokens")) if isinstance(ids, list))
    return sum("SpecialToken" in piece for piece in pieces) * max(map(len, lists), default=0)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else 0
