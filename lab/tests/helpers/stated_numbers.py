"""The numbers that a hand-written page states, looked up in the data that its last line names.

`<!-- data: FILE FILE#PART … -->` names the JSON files, or parts of them, that hold its numbers.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_DATA = re.compile(r"<!-- data: (.*?) -->")
_LEFT_OUT = (
    re.compile(r"\A---\n.*?\n---\n", re.DOTALL),  # front matter
    re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE),
    re.compile(r"<!-- table: ([\w-]+) -->\n.*?<!-- end -->", re.DOTALL),
    re.compile(r"`[^`]*`"),
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"\]\([^)]*\)"),
)
_NUMBER = re.compile(r"(?<![\w.,])(\d[\d,]*(?:\.\d+)?)(?:st|nd|rd|th)?(?![\w]|[.,]\d)")


def data_names(page: str) -> list[str]:
    """The JSON files of a page, each with its part, as `figures.json#study`."""
    match = _DATA.search(page)
    names = match.group(1).split() if match else []
    return [name for name in names if name.partition("#")[0].endswith(".json")]


def written_numbers(page: str) -> list[str]:
    """The numbers in a page's own words: without its tables, code and addresses."""
    for pattern in _LEFT_OUT:
        page = pattern.sub(" ", page)
    return [number.replace(",", "") for number in _NUMBER.findall(page)]


def missing_numbers(page: str, read: Callable[[str], Any]) -> list[str]:
    """The numbers of a page that are in none of its data, at their precision and whatever their
    sign; per cent may stand for a fraction.

    Args:
        read: Gives the JSON of a file by its name.
    """
    values: set[float] = set()
    for name in data_names(page):
        file, _, part = name.partition("#")
        values |= set(_numbers(read(file)[part] if part else read(file)))
    return [number for number in written_numbers(page) if not _is_in(number, values)]


def _is_in(number: str, values: set[float]) -> bool:
    half = 0.5 * 10.0 ** -len(number.partition(".")[2]) + 1e-9
    stated = float(number)
    return any(abs(scale * abs(value) - stated) <= half for value in values for scale in (1, 100))


def _numbers(value: Any) -> Iterator[float]:
    """All numbers of a JSON value, those that name its parts among them."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from map(float, re.fullmatch(r"\d+(?:\.\d+)?", name) and [name] or [])
            yield from _numbers(part)
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item)
