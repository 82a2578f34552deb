"""Learn: lessons shown in place of the workbench, loaded when opened. assets/js/learn/entry.js
draws them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dppa_core.errors import DppaError, InvalidValue, UnknownName, did_you_mean

from ..session.json_form import asked_keys
from ..session.session import Session
from ..session.shipped import glossary, shipped
from ..widgets.browser_parts import pack
from ..widgets.controls import PRIVATE, Controls
from ..work.error_notices import message, show_errors
from ..work.studio import Studio
from ..work.visitor import asker
from .block_queue import BlockQueue
from .blocks.context import BlockContext
from .blocks.quiz import Quiz
from .blocks.registry import answer
from .lesson_text import Attempt, Lesson, Placed, Prose, Segment, read_lesson

STYLES = ("assets/css/learn.css", "assets/css/learn_by_hand.css")
MOST_ASKS = 24
FOLDER = shipped("assets/lessons")
NUMBERED = "Lessons"
"""The section of the list whose entries are numbered."""
_FILE = re.compile(r"\d\d-(.+)")
TEACHING = {"queue": False, "trigger_mode": "multiple", **PRIVATE}
"""Options of the event. It skips the queue: long work runs in `BlockQueue`, and is polled."""


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


@dataclass(frozen=True, slots=True)
class LessonRequest:
    """One request of the page."""

    key: str
    """Chosen by the page; the answer has the same key."""
    what: str
    """One of "catalogue", "lesson" and "block"."""
    name: str = ""
    arguments: Any = None


def asked(value: object) -> tuple[int, tuple[LessonRequest, ...]]:
    """Read {"id": number, "asks": [{"key", "what", "name", "arguments"}]}; raises InvalidValue."""
    data = asked_keys(value, id=int, asks=list)
    if not 1 <= len(data["asks"]) <= MOST_ASKS:
        raise InvalidValue(f"The page sent something unreadable: {value!r:.80}.")
    return data["id"], tuple(map(_ask, data["asks"]))


def _ask(value: object) -> LessonRequest:
    known = {"key", "what", "name", "arguments"}
    if isinstance(value, Mapping) and {"key", "what"} <= value.keys() <= known:
        if all(isinstance(value.get(one, ""), str) for one in ("key", "what", "name")):
            return LessonRequest(**value)
    raise InvalidValue(f"The page sent something unreadable: {value!r:.80}.")


class LessonServer:
    """Answers the page's requests for lessons and blocks."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self._desk = studio, BlockQueue(studio.ending)

    def payload(self, value: object, session: Session, party: str = "") -> dict[str, Any]:
        """Answer all requests of the page's value (`asked`); the computations of a `party` are
        limited. Returns {"id", "answers": key -> {"value"}, {"error"} or {"pending", "shown"}}."""
        number, asks = asked(value)
        return {"id": number, "answers": {a.key: self._answer(a, session, party) for a in asks}}

    def _answer(self, ask: LessonRequest, session: Session, party: str) -> dict[str, Any]:
        try:
            if ask.what == "catalogue":
                return {"value": catalogue_json()}
            if ask.what == "lesson":
                return {"value": lesson_json(ask.name)}
            return self._block(ask, session, party)
        except DppaError as error:  # the other answers still come
            return {"error": message(error)}

    def _block(self, ask: LessonRequest, session: Session, party: str) -> dict[str, Any]:
        arguments = ask.arguments if ask.arguments is not None else {}
        try:
            text = json.dumps(arguments, sort_keys=True, allow_nan=False)
        except ValueError:  # JSON knows no NaN, and Python reads it all the same
            raise InvalidValue(f"Arguments of {ask.name} contain NaN or infinity.") from None
        key = (ask.name, text, session.base, tuple(one.reference for one in session.models))
        found: dict[str, Any] = self._desk.ask(
            key,
            lambda tell, work: answer(
                ask.name, arguments, BlockContext(self._studio, session, tell, work, work.show)
            ),
            party=party,
        )
        return found


def learn_route() -> Route:
    """The route that serves the styles of lessons: learn/learn.css, below the page's address."""

    def send(request: Request) -> Response:
        text = "\n".join(shipped(file).read_text(encoding="utf-8") for file in STYLES)
        headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return Response(text, media_type="text/css", headers=headers)

    return Route("/learn/learn.css", send, methods=["GET"])


def wire_learn(learn: gr.HTML, controls: Controls, studio: Studio) -> None:
    """Set up one event for all requests."""
    teacher = LessonServer(studio)

    @show_errors
    def on_learn(values: dict[Any, Any], request: gr.Request) -> dict[Any, Any]:
        party = asker(request).party if studio.public else ""
        return {learn: pack(teacher.payload(values[learn], controls.session(values), party))}

    told = learn.ask(
        on_learn,
        inputs=controls.inputs | {learn},
        outputs=[learn],
        preprocess=False,  # a half-typed number is not an error
        **TEACHING,
    )
    told.failure(None, js="() => { window.dppa.learn.failed(); return []; }", **PRIVATE)
