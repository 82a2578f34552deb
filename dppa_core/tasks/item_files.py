"""Files of questions of one's own: JSON lines or CSV, checked line by line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dppa_core.errors import InvalidValue, closest, did_you_mean, shown
from dppa_core.parameter_fields import check_number
from dppa_core.system.regular_files import read_regular
from dppa_core.system.strict_json import parse_json
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.own_items import (
    LETTERS,
    SCORERS,
    OwnDomain,
    OwnItem,
    question_text,
    usual_scorer,
)
from dppa_core.tasks.patterns import check_pattern

MAX_FILE_BYTES = 20_000_000
"""Bytes of a file."""
MAX_ITEMS, MAX_CHARACTERS, MAX_TOKENS = 10_000, 2_000, 1_024
MAX_PATTERNS = 100
_KEYS = ("question", "answer", "choices", "scorer", "pattern")
_HEAD = ("scorer", "pattern", "tokens")
EXAMPLE = (
    'A line is {"question": "What is 2 + 3?", "answer": "5"}, or has "choices": ["4", "5"] as '
    "well; a CSV file has a header, as question,answer."
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class _Declared:
    """Settings of all items, from a first line or an option."""

    scorer: str = ""
    pattern: str = ""
    tokens: int | None = None


def own_domain(option: str, scorer: str | None = None) -> OwnDomain:
    """The domain of an option `--items`: NAME=FILE, or FILE, which gives its name.

    Args:
        scorer: Of items for which the file declares none.

    Raises:
        InvalidValue: a file that cannot be read, or a line of it; a name that is taken.
    """
    name, equals, path = option.partition("=")
    if not equals or not _NAME.fullmatch(name):
        name, path = "", option
    try:
        data = read_regular(Path(path), MAX_FILE_BYTES + 1, streams=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidValue(f"{path}: cannot be read ({reason}). {EXAMPLE}") from error
    return read_items(data, path, name, scorer)


def read_items(
    data: bytes, file: str, name: str = "", scorer: str | None = None, *, most: int = MAX_ITEMS
) -> OwnDomain:
    """The domain in the bytes of a file; its ending .csv tells CSV from JSON lines.

    Args:
        file: For error texts and the default name.
        name: Of the domain; that of the file without its ending if empty.
        most: Items that are read.

    Raises:
        InvalidValue: a mistake, with the number of its line, or a name that is taken.
    """
    if len(data) > MAX_FILE_BYTES:
        raise InvalidValue(f"{file}: larger than {MAX_FILE_BYTES:,} bytes, which are read at most.")
    name = name or re.sub(r"[^A-Za-z0-9._-]+", "-", Path(file).stem).strip("-.")[:40] or "items"
    if name in DOMAINS:
        raise InvalidValue(
            f"{file}: {name} is the name of embedded questions. Give another: --items "
            f"own-{name}={file}."
        )
    rows = _csv_rows(data, file) if file.lower().endswith(".csv") else _json_rows(data, file)
    items: dict[str, tuple[int, OwnItem]] = {}
    patterns = set[str]()
    with _prefixed("--scorer"):
        declared = _Declared(_checked_scorer(scorer) if scorer else "")
    for place, (number, row) in enumerate(rows):
        with _prefixed(f"{file}: line {number}"):
            if place == 0 and "question" not in row and row.keys() <= set(_HEAD):
                declared = _head(row, declared)
                continue
            item = _item(row, name, declared)
            first_line, first_item = items.setdefault(item.prompt, (number, item))
            if first_item != item:
                raise InvalidValue(f"asks what line {first_line} asks, with another answer.")
            patterns.add(item.pattern)
            if len(items) > most or len(patterns) > MAX_PATTERNS:
                raise InvalidValue(
                    f"more than {most:,} questions or {MAX_PATTERNS} different patterns, which are "
                    "read at most."
                )
    if not items:
        raise InvalidValue(f"{file}: holds no question. {EXAMPLE}")
    return OwnDomain(name, [item for _, item in items.values()], declared.tokens)


@contextmanager
def _prefixed(place: str) -> Iterator[None]:
    """Name the place, as a line of a file, in errors of the block."""
    try:
        yield
    except InvalidValue as error:
        raise InvalidValue(f"{place}: {error}") from error


def _json_rows(data: bytes, file: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except ValueError as error:
            raise InvalidValue(f"{file}: line {number}: no JSON ({error}). {EXAMPLE}") from error
        if not isinstance(value, dict):
            raise InvalidValue(f"{file}: line {number}: no object, got {shown(value)}. {EXAMPLE}")
        yield number, value


def _csv_rows(data: bytes, file: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + data[: error.start].count(b"\n")
        raise InvalidValue(f"{file}: line {line}: no text in UTF-8.") from error
    reader, next_line = csv.reader(io.StringIO(text, newline=""), strict=True), 1
    head: list[str] = []
    try:
        for cells in reader:
            number, next_line = next_line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            with _prefixed(f"{file}: line {number}"):
                if not head:
                    head = _csv_head(cells)
                    continue
                row = _csv_row(head, cells)
            yield number, row
    except csv.Error as error:
        raise InvalidValue(f"{file}: line {reader.line_num}: no CSV ({error}).") from error


def _csv_head(cells: Sequence[str]) -> list[str]:
    head = [cell.strip() for cell in cells]
    if len(head) == 1 and ";" in head[0]:
        raise InvalidValue(f"columns have commas between them, not semicolons. {EXAMPLE}")
    _check_keys(head)
    return head


def _csv_row(head: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    if len(cells) != len(head):
        raise InvalidValue(
            f"{len(cells)} cells, and the header has {len(head)} ({', '.join(head)}). A text "
            "with a comma stands in quotes."
        )
    row: dict[str, Any] = {key: cell for key, cell in zip(head, cells, strict=True) if cell.strip()}
    if "choices" in row:
        row["choices"] = [part.strip() for part in row["choices"].split("|")]
    return row


def _check_keys(keys: Sequence[str]) -> None:
    for key in keys:
        if key not in _KEYS:
            raise InvalidValue(
                f"no key {shown(key)} is known here. {did_you_mean(key, _KEYS)} {EXAMPLE}"
            )
    missing = [key for key in ("question", "answer") if key not in keys]
    if missing or len(set(keys)) < len(keys):
        problem = f"{missing[0]} is missing" if missing else "a key stands there twice"
        raise InvalidValue(f"{problem}. {EXAMPLE}")


def _checked_scorer(scorer: object) -> str:
    if not isinstance(scorer, str) or scorer not in SCORERS:
        raise InvalidValue(
            f"no scorer {shown(scorer)}. {closest(str(scorer), SCORERS)} Allowed: "
            f"{', '.join(SCORERS)}.".replace("  ", " ")
        )
    return scorer


def _head(row: Mapping[str, Any], declared: _Declared) -> _Declared:
    """Settings that a first line without a question declares, as {"scorer": "number"}."""
    scorer, pattern = declared.scorer, row.get("pattern", "")
    if "scorer" in row:
        scorer = _checked_scorer(row["scorer"])
    if pattern:
        check_pattern(pattern)
    tokens = row.get("tokens")
    if tokens is not None:
        tokens = int(check_number("tokens", tokens, 1, MAX_TOKENS))
    return _Declared(scorer, pattern, tokens)


def _text(value: object, key: str) -> str:
    """A text that says something; numbers are read as they are written."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_CHARACTERS:
        raise InvalidValue(
            f"{key} must be a text of 1 to {MAX_CHARACTERS:,} characters, got {shown(value)}. "
            f"{EXAMPLE}"
        )
    return value.strip()


def _item(row: Mapping[str, Any], name: str, declared: _Declared) -> OwnItem:
    _check_keys(list(row))
    question, answer = (_text(row[key], key) for key in ("question", "answer"))
    choices = _choices(row["choices"]) if row.get("choices") is not None else ()
    scorer = _checked_scorer(row.get("scorer") or declared.scorer or usual_scorer(answer, choices))
    if (scorer == "choice") != bool(choices):
        raise InvalidValue(
            f"the scorer is {scorer}, and the item has {'' if choices else 'no '}choices; "
            "the scorer choice and the key choices go together."
        )
    if choices:
        answer = _letter(answer, choices)
    pattern = row.get("pattern") or declared.pattern if scorer == "regex" else ""
    if scorer == "regex":
        check_pattern(pattern)
    elif "pattern" in row:
        raise InvalidValue(f"pattern belongs to the scorer regex, here it is {scorer}.")
    prompt = question_text(question, choices)
    item = OwnItem(name, scorer, prompt, answer, question, choices, pattern)
    if not item.right(answer):
        raise InvalidValue(
            f"the scorer {scorer} finds nothing to compare in the answer {shown(answer)}. "
            "Another scorer, or an answer that says it, is what it needs."
        )
    return item


def item_line(item: OwnItem) -> str:
    """The line of JSON that `read_items` reads as this item."""
    row: dict[str, Any] = {"question": item.question, "answer": item.answer, "scorer": item.task}
    if item.choices:
        answer = item.choices[LETTERS.index(item.answer)]
        row |= {"answer": answer, "choices": item.choices}
    if item.pattern:
        row["pattern"] = item.pattern
    return json.dumps(row)


def _choices(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 2 <= len(value) <= len(LETTERS):
        raise InvalidValue(
            f"choices must be a list of 2 to {len(LETTERS)} texts (in CSV, with | between them), "
            f"got {shown(value)}."
        )
    texts = tuple(_text(text, "a choice") for text in value)
    if len(set(texts)) < len(texts):
        raise InvalidValue("a choice stands there twice.")
    return texts


def _letter(answer: str, choices: tuple[str, ...]) -> str:
    """The letter of an answer, which is a choice's text or its letter."""
    letters = LETTERS[: len(choices)]
    if answer in choices:
        return letters[choices.index(answer)]
    if len(answer) == 1 and answer in letters:
        return answer
    raise InvalidValue(
        f"answer must be the text of a choice or its letter ({letters[0]} to {letters[-1]}), got "
        f"{shown(answer)}."
    )
