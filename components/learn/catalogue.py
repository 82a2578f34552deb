"""The list of lessons and the glossary, read from assets/, as JSON for the page."""

from __future__ import annotations

import re
from dataclasses import asdict
from functools import cache
from typing import Any

from components.learn.blocks.quiz import Quiz
from components.learn.lesson_text import Attempt, Lesson, Placed, Prose, Segment, read_lesson
from components.session.shipped import glossary, shipped
from dppa_core.errors import UnknownName, did_you_mean

FOLDER = shipped("assets/lessons")
NUMBERED = "Lessons"
"""The section of the list whose entries are numbered."""
_FILE = re.compile(r"\d\d-(.+)")


@cache
def lessons() -> dict[str, Lesson]:
    """Every lesson by name, in the order of the numbers in their file names."""
    found = {}
    for path in sorted(FOLDER.glob("*.md")):
        name = _FILE.sub(r"\1", path.stem)
        found[name] = read_lesson(name, path.read_text(encoding="utf-8"))
    return found


def number(name: str) -> int | None:
    """Its number on the page, as in "lesson 3"; None for exercises such as Break it."""
    counted = [one.name for one in lessons().values() if one.part == NUMBERED]
    return counted.index(name) + 1 if name in counted else None


def catalogue_json() -> dict[str, Any]:
    """The entries of the list, and all terms."""
    names = ("name", "title", "about", "minutes", "part")
    listed = [
        {name: getattr(one, name) for name in names}
        | {"number": number(one.name), "quizzes": len(one.quizzes)}
        for one in lessons().values()
    ]
    return {"lessons": listed, "glossary": dict(glossary())}


def lesson_json(name: object) -> dict[str, Any]:
    """One lesson as JSON; its HTML is safe, since HTML in Markdown is switched off."""
    found = lessons().get(name) if isinstance(name, str) else None
    if found is None:
        known = did_you_mean(str(name)[:80], lessons())
        raise UnknownName(f"There is no lesson {str(name)[:80]!r}. {known}")
    return {
        "name": found.name,
        "number": number(found.name),
        "title": found.title,
        "minutes": found.minutes,
        "sources": list(found.sources),
        "segments": [_segment(one) for one in found.segments],
    }


_KINDS: dict[type[Segment], str] = {Prose: "prose", Placed: "block", Attempt: "try", Quiz: "quiz"}


def _segment(one: Segment) -> dict[str, Any]:
    return {"kind": _KINDS[type(one)], **asdict(one)}
