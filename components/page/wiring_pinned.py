"""Event handlers of the pinned question: its answer, next tokens, and the curve over a control."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from dppa_core.errors import Cancelled, DppaError
from dppa_core.system.recent import Recent

from ..views.see.answer_curve import curve_payload, read_curve
from ..views.see.next_tokens import next_payload, read_next
from ..views.see.pinned import PinnedAnswers, read_pinned
from ..widgets.browser_parts import pack
from ..widgets.controls import PRIVATE
from ..widgets.runs import streaming
from ..work.error_notices import show_errors
from ..work.kinds import CURVES, NEXT_TOKENS
from ..work.studio import Studio
from ..work.visitor import asker
from .layout import LIVE, Page, moved


def wire_pinned(page: Page, studio: Studio) -> None:
    """Set up the requests of the pinned question."""
    _wire_answer(page, studio)
    controls, view, cache = page.controls, page.pinned, Recent(8192)

    def on_next(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        next_request, session = read_next(values[view.next]), controls.session(values)
        turns, recipes = values[page.chat.turns], values[page.chat.recipes]
        return next_payload(next_request, session, turns, recipes, studio)

    def on_curve(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        session = moved(page, values, studio)
        return curve_payload(session, read_curve(values[view.breaks], session), studio, cache)

    view.next.look(
        streaming(view.next, on_next),
        inputs=controls.inputs | {view.next, page.chat.turns, page.chat.recipes},
        outputs=[view.next],
        trigger_mode="always_last",
        **NEXT_TOKENS.turns | PRIVATE,
    )
    tracing = view.breaks.trace(
        streaming(view.breaks, on_curve),
        inputs=controls.inputs | {view.breaks},
        outputs=[view.breaks],
        trigger_mode="always_last",
        preprocess=False,  # a half-typed number is not an error
        **CURVES.turns | PRIVATE,
    )
    view.breaks.halt(None, cancels=[tracing], queue=False, **PRIVATE)


def _wire_answer(page: Page, studio: Studio) -> None:
    view, answers = page.pinned, PinnedAnswers(studio)

    @show_errors
    def on_pinned(values: dict[Any, Any], request: gr.Request) -> dict[Any, Any]:
        value: dict[str, Any] = {}
        try:
            question = read_pinned(values[view.answer])
            value["id"] = question.number
            value |= answers.value(moved(page, values, studio), question, asker(request))
        except Cancelled:
            value["later"] = "replaced"
        except DppaError as error:
            value["trouble"] = str(error)
        return {view.answer: pack(value)}

    # Two events: a question at rest does not wait for the end of one from a moving slider.
    for event in (view.answer.move, view.answer.rest):
        event(
            on_pinned,
            inputs=page.controls.inputs | {view.answer},
            outputs=[view.answer],
            preprocess=False,  # raw values: see fast_answers.py
            **LIVE,
        )
