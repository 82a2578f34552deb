"""Learn: lessons shown in place of the workbench, loaded when opened.

assets/js/learn/entry.js draws them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from components.learn.block_queue import BlockQueue
from components.learn.blocks.context import BlockContext
from components.learn.blocks.registry import answer
from components.learn.catalogue import catalogue_json, lesson_json
from components.session.json_form import parsed_keys
from components.session.session import Session
from components.session.shipped import shipped
from components.widgets.browser_parts import pack
from components.widgets.controls import PRIVATE, Controls
from components.work.error_notices import message, show_errors
from components.work.studio import Studio
from components.work.visitor import asker
from dppa_core.errors import DppaError, InvalidValue

STYLES = ("assets/css/learn.css", "assets/css/learn_by_hand.css")
MOST_ASKS = 24
TEACHING = {"queue": False, "trigger_mode": "multiple", **PRIVATE}
"""Options of the event. It skips the queue: long work runs in `BlockQueue`, and is polled."""


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
    data = parsed_keys(value)
    asks, number = data.get("asks"), data.get("id")
    if type(number) is not int or not isinstance(asks, list) or not 1 <= len(asks) <= MOST_ASKS:
        raise InvalidValue(f"The page sent something unreadable: {value!r:.80}.")
    return number, tuple(map(_ask, asks))


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
