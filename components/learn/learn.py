"""Learn: lessons in place of the workbench, loaded on opening; assets/js/learn/ draws them."""

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
from .block_queue import BlockQueue, BlockWork
from .blocks.context import BlockContext
from .blocks.quiz import Quiz
from .blocks.registry import answer
from .lesson_text import Attempt, Lesson, Placed, Prose, Segment, read_lesson, read_questions

STYLES = ("assets/css/learn.css", "assets/css/learn_by_hand.css")
MAX_REQUESTS = 24
FOLDER = shipped("assets/lessons")
NUMBERED = "Lessons"
"""The section of the list whose entries are numbered."""
_FILE_NAME = re.compile(r"\d\d-(.+)")
LEARN_EVENT = {"queue": False, "trigger_mode": "multiple", **PRIVATE}
"""Options of the event. It skips the queue: long work runs in `BlockQueue`, and is polled."""


@cache
def lessons() -> dict[str, Lesson]:
    """Every lesson by name, in the order of the numbers in their file names."""
    paths = {_FILE_NAME.sub(r"\1", path.stem): path for path in sorted(FOLDER.glob("*.md"))}
    return {name: read_lesson(name, path.read_text("utf-8")) for name, path in paths.items()}


@cache
def five_questions() -> tuple[Quiz, ...]:
    """The questions that a learner may answer before the first lesson and after the last."""
    return read_questions(shipped("assets/data/five_questions.yaml").read_text("utf-8"))


def number(name: str) -> int | None:
    """Its number on the page, as in "lesson 3"; None for exercises such as Break it."""
    numbered = [lesson.name for lesson in lessons().values() if lesson.part == NUMBERED]
    return numbered.index(name) + 1 if name in numbered else None


def catalogue_json() -> dict[str, Any]:
    """The entries of the list, all terms, and the five questions asked before and after."""
    names = ("name", "title", "about", "part")
    entries = [
        {name: getattr(lesson, name) for name in names}
        | {"number": number(lesson.name), "quizzes": len(lesson.quizzes)}
        | {"minutes": round(lesson.minutes)}
        for lesson in lessons().values()
    ]
    five = [asdict(quiz) for quiz in five_questions()]
    return {"lessons": entries, "glossary": dict(glossary()), "five": five}


_KINDS: dict[type[Segment], str] = {Prose: "prose", Placed: "block", Attempt: "try", Quiz: "quiz"}


def lesson_json(name: object) -> dict[str, Any]:
    """One lesson as JSON; its HTML is safe, since HTML in Markdown is switched off."""
    lesson = lessons().get(name) if isinstance(name, str) else None
    if lesson is None:
        hint = did_you_mean(str(name)[:80], lessons())
        raise UnknownName(f"There is no lesson {str(name)[:80]!r}. {hint}")
    head = {key: getattr(lesson, key) for key in ("name", "title", "sources")}
    parts = [{"kind": _KINDS[type(part)], **asdict(part)} for part in lesson.segments]
    return {
        **head,
        "number": number(lesson.name),
        "minutes": round(lesson.minutes),
        "segments": parts,
    }


@dataclass(frozen=True, slots=True)
class LessonRequest:
    """One request of the page."""

    key: str
    """Chosen by the page; the answer has the same key."""
    what: str
    """One of "catalogue", "lesson" and "block"."""
    name: str = ""
    arguments: Any = None


def read_requests(value: object) -> tuple[int, tuple[LessonRequest, ...]]:
    """Read {"id": number, "asks": [{"key", "what", "name", "arguments"}]}; raises InvalidValue."""
    fields = asked_keys(value, id=int, asks=list)
    if not 1 <= len(fields["asks"]) <= MAX_REQUESTS:
        raise InvalidValue(f"The page sent something unreadable: {value!r:.80}.")
    return fields["id"], tuple(map(_read_request, fields["asks"]))


def _read_request(value: object) -> LessonRequest:
    keys = {"key", "what", "name", "arguments"}
    if isinstance(value, Mapping) and {"key", "what"} <= value.keys() <= keys:
        if all(isinstance(value.get(key, ""), str) for key in ("key", "what", "name")):
            return LessonRequest(**value)
    raise InvalidValue(f"The page sent something unreadable: {value!r:.80}.")


class LessonServer:
    """Answers the page's requests for lessons and blocks."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self._queue = studio, BlockQueue(studio.ending)

    def payload(self, value: object, session: Session, party: str = "") -> dict[str, Any]:
        """Answer all requests of the page's value; the computations of a `party` are limited.
        Returns {"id", "answers": key -> {"value"}, {"error"} or {"pending", "shown"}}."""
        number, requests = read_requests(value)
        answers = {request.key: self._answer(request, session, party) for request in requests}
        return {"id": number, "answers": answers}

    def _answer(self, request: LessonRequest, session: Session, party: str) -> dict[str, Any]:
        try:
            if request.what == "catalogue":
                return {"value": catalogue_json()}
            if request.what == "lesson":
                return {"value": lesson_json(request.name)}
            return self._block(request, session, party)
        except DppaError as error:  # the other answers still come
            return {"error": message(error)}

    def _block(self, request: LessonRequest, session: Session, party: str) -> dict[str, Any]:
        arguments = request.arguments if request.arguments is not None else {}
        try:
            text = json.dumps(arguments, sort_keys=True, allow_nan=False)
        except ValueError:  # JSON has no NaN, and Python reads it all the same
            raise InvalidValue(f"Arguments of {request.name} contain NaN or infinity.") from None
        models = tuple(model.reference for model in session.models)

        def make(work: BlockWork) -> dict[str, Any]:
            context = BlockContext(self._studio, session, work.progress, work, work.show)
            return answer(request.name, arguments, context)

        return self._queue.ask((request.name, text, session.base, models), make, party=party)


def learn_route() -> Route:
    """The route that serves the styles of lessons: learn/learn.css, below the page's address."""

    def send(request: Request) -> Response:
        text = "\n".join(shipped(file).read_text(encoding="utf-8") for file in STYLES)
        headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return Response(text, media_type="text/css", headers=headers)

    return Route("/learn/learn.css", send, methods=["GET"])


def wire_learn(learn: gr.HTML, controls: Controls, studio: Studio) -> None:
    """Set up one event for all requests."""
    server = LessonServer(studio)

    @show_errors
    def on_learn(values: dict[Any, Any], request: gr.Request) -> dict[Any, Any]:
        party = asker(request).party if studio.public else ""
        return {learn: pack(server.payload(values[learn], controls.session(values), party))}

    event = learn.ask(
        on_learn,
        inputs=controls.inputs | {learn},
        outputs=[learn],
        preprocess=False,  # a half-typed number is not an error
        **LEARN_EVENT,
    )
    event.failure(None, js="() => { window.dppa.learn.failed(); return []; }", **PRIVATE)
