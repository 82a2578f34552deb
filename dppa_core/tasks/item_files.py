"""Files of questions of one's own: JSON lines or CSV, checked line by line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
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

LARGEST_FILE = 20_000_000
"""Bytes of a file."""
MOST_ITEMS, LONGEST, MOST_TOKENS = 10_000, 2_000, 1_024
MOST_PATTERNS = 100
_KEYS = ("question", "answer", "choices", "scorer", "pattern")
_HEAD = ("scorer", "pattern", "tokens")
EXAMPLE = (
    'A line is {"question": "What is 2 + 3?", "answer": "5"}, or has "choices": ["4", "5"] as '
    "well; a CSV file has a header, as question,answer."
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class _Declared:
    """What a first line, or an option, says of all items."""

    scorer: str = ""
    pattern: str = ""
    tokens: int | None = None


def own_domain(given: str, scorer: str | None = None) -> OwnDomain:
    """The domain of an option `--items`: NAME=FILE, or FILE, which gives its name.

    Args:
        scorer: Of items for which the file declares none.

    Raises:
        InvalidValue: a file that cannot be read, or a line of it; a name that is taken.
    """
    name, equals, path = given.partition("=")
    if not equals or not _NAME.fullmatch(name):
        name, path = "", given
    try:
        data = read_regular(Path(path), LARGEST_FILE + 1, streams=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidValue(f"{path}: cannot be read ({reason}). {EXAMPLE}") from error
    return read_items(data, path, name, scorer)


def read_items(
    data: bytes, file: str, name: str = "", scorer: str | None = None, *, most: int = MOST_ITEMS
) -> OwnDomain:
    """The domain in the bytes of a file; its ending .csv tells CSV from JSON lines.

    Args:
        file: For error texts and the default name.
        name: Of the domain; that of the file without its ending if empty.
        most: Items that are read.

    Raises:
        InvalidValue: a mistake, with the number of its line, or a name that is taken.
    """
    if len(data) > LARGEST_FILE:
        raise InvalidValue(f"{file}: larger than {LARGEST_FILE:,} bytes, which are read at most.")
    name = name or re.sub(r"[^A-Za-z0-9._-]+", "-", Path(file).stem).strip("-.")[:40] or "items"
    if name in DOMAINS:
        raise InvalidValue(
            f"{file}: {name} is the name of embedded questions. Give another: --items "
            f"own-{name}={file}."
        )
    rows = _csv_rows(data, file) if file.lower().endswith(".csv") else _json_rows(data, file)
    found: dict[str, tuple[int, OwnItem]] = {}
    patterns = set[str]()
    declared = _Declared(_known_scorer(scorer, "--scorer") if scorer else "")
    for place, (number, row) in enumerate(rows):
        where = f"{file}: line {number}"
        if place == 0 and "question" not in row and row.keys() <= set(_HEAD):
            declared = _head(row, declared, where)
            continue
        item = _item(row, name, declared, where)
        before, other = found.setdefault(item.prompt, (number, item))
        if other != item:
            raise InvalidValue(f"{where}: asks what line {before} asks, with another answer.")
        patterns.add(item.pattern)
        if len(found) > most or len(patterns) > MOST_PATTERNS:
            raise InvalidValue(
                f"{where}: more than {most:,} questions or {MOST_PATTERNS} different patterns, "
                "which are read at most."
            )
    if not found:
        raise InvalidValue(f"{file}: holds no question. {EXAMPLE}")
    return OwnDomain(name, [item for _, item in found.values()], declared.tokens)


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
    reader, number = csv.reader(io.StringIO(text, newline=""), strict=True), 1
    head: list[str] = []
    try:
        for cells in reader:
            where, number = f"{file}: line {number}", reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not head:
                head = [cell.strip() for cell in cells]
                if len(head) == 1 and ";" in head[0]:
                    raise InvalidValue(
                        f"{where}: columns have commas between them, not semicolons. {EXAMPLE}"
                    )
                _check_keys(head, _KEYS, where)
            elif len(cells) != len(head):
                raise InvalidValue(
                    f"{where}: {len(cells)} cells, and the header has {len(head)} "
                    f"({', '.join(head)}). A text with a comma stands in quotes."
                )
            else:
                yield int(where.rpartition(" ")[2]), _cells(head, cells)
    except csv.Error as error:
        raise InvalidValue(f"{file}: line {reader.line_num}: no CSV ({error}).") from error


def _cells(head: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {key: cell for key, cell in zip(head, cells, strict=True) if cell.strip()}
    if "choices" in row:
        row["choices"] = [part.strip() for part in row["choices"].split("|")]
    return row


def _check_keys(keys: Sequence[str], known: Sequence[str], where: str) -> None:
    for key in keys:
        if key not in known:
            raise InvalidValue(
                f"{where}: no key {shown(key)} is known here. {did_you_mean(key, known)} {EXAMPLE}"
            )
    missing = [key for key in ("question", "answer") if known is _KEYS and key not in keys]
    if missing or len(set(keys)) < len(keys):
        what = f"{missing[0]} is missing" if missing else "a key stands there twice"
        raise InvalidValue(f"{where}: {what}. {EXAMPLE}")


def _known_scorer(scorer: object, where: str) -> str:
    if not isinstance(scorer, str) or scorer not in SCORERS:
        raise InvalidValue(
            f"{where}: no scorer {shown(scorer)}. {closest(str(scorer), SCORERS)} Allowed: "
            f"{', '.join(SCORERS)}.".replace("  ", " ")
        )
    return scorer


def _head(row: Mapping[str, Any], declared: _Declared, where: str) -> _Declared:
    """What a first line without a question declares, as {"scorer": "number"}."""
    scorer, pattern = declared.scorer, row.get("pattern", "")
    if "scorer" in row:
        scorer = _known_scorer(row["scorer"], where)
    if pattern:
        check_pattern(pattern, where)
    tokens = row.get("tokens")
    if tokens is not None:
        tokens = int(check_number(f"{where}: tokens", tokens, 1, MOST_TOKENS))
    return _Declared(scorer, pattern, tokens)


def _text(value: object, key: str, where: str) -> str:
    """A text that says something; numbers are read as they are written."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST:
        raise InvalidValue(
            f"{where}: {key} must be a text of 1 to {LONGEST:,} characters, got {shown(value)}. "
            f"{EXAMPLE}"
        )
    return value.strip()


def _item(row: Mapping[str, Any], name: str, declared: _Declared, where: str) -> OwnItem:
    _check_keys(list(row), _KEYS, where)
    question, answer = (_text(row[key], key, where) for key in ("question", "answer"))
    choices = _choices(row["choices"], where) if row.get("choices") is not None else ()
    scorer = _known_scorer(
        row.get("scorer") or declared.scorer or usual_scorer(answer, choices), where
    )
    if (scorer == "choice") != bool(choices):
        raise InvalidValue(
            f"{where}: the scorer is {scorer}, and the item has {'' if choices else 'no '}choices; "
            "the scorer choice and the key choices go together."
        )
    if choices:
        answer = _letter(answer, choices, where)
    pattern = row.get("pattern") or declared.pattern if scorer == "regex" else ""
    if scorer == "regex":
        check_pattern(pattern, where)
    elif "pattern" in row:
        raise InvalidValue(f"{where}: pattern belongs to the scorer regex, here it is {scorer}.")
    prompt = question_text(question, choices)
    item = OwnItem(name, scorer, prompt, answer, question, choices, pattern)
    if not item.right(answer):
        raise InvalidValue(
            f"{where}: the scorer {scorer} finds nothing to compare in the answer {shown(answer)}. "
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


def _choices(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not 2 <= len(value) <= len(LETTERS):
        raise InvalidValue(
            f"{where}: choices must be a list of 2 to {len(LETTERS)} texts (in CSV, with | between "
            f"them), got {shown(value)}."
        )
    found = tuple(_text(one, "a choice", where) for one in value)
    if len(set(found)) < len(found):
        raise InvalidValue(f"{where}: a choice stands there twice.")
    return found


def _letter(answer: str, choices: tuple[str, ...], where: str) -> str:
    """The letter of an answer, which is a choice's text or its letter."""
    letters = LETTERS[: len(choices)]
    if answer in choices:
        return letters[choices.index(answer)]
    if len(answer) == 1 and answer in letters:
        return answer
    raise InvalidValue(
        f"{where}: answer must be the text of a choice or its letter ({letters[0]} to "
        f"{letters[-1]}), got {shown(answer)}."
    )
