"""Event handlers of the middle column, except those of moving sliders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from components.page.layout import Page
from components.views.see.conflict import conflict_payload
from components.views.see.matrix import drill_payload, wanted
from components.views.see.sparsity import asked_model, losses_payload
from components.widgets.controls import PRIVATE, activity_script
from components.widgets.runs import Handler, streaming
from components.work.studio import Studio
from dppa_core.system.recent import Recent

COUNTING = {"concurrency_id": "count", "concurrency_limit": 1, **PRIVATE}
"""One count at a time for all visitors: it uses a whole core, and nothing else waits for it."""
LOOKING = {"concurrency_id": "look", "concurrency_limit": 2, **PRIVATE}
"""Reading one matrix; two at a time for all visitors."""


def wire_see(page: Page, studio: Studio) -> None:
    """Set up the requests of the middle column's views."""
    controls, looks, counts = page.controls, Recent(100), Recent(200)

    def on_count(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        return conflict_payload(controls.session(values), studio)

    def on_closeup(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        session = controls.session(values)
        return drill_payload(session, wanted(values[page.drill], session), studio, looks)

    def on_losses(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        session = controls.session(values)
        model = asked_model(values[page.losses], session)
        for value in losses_payload(session, model, studio, counts):
            yield {} if "counting" in value else value

    def wire(part: gr.HTML, event: Any, handler: Handler, turns: Any, *own: gr.HTML) -> None:
        asked = event(
            streaming(part, handler),
            inputs=controls.inputs | set(own),
            outputs=[part],
            trigger_mode="always_last",
            preprocess=False,  # a half-typed number is not an error
            **turns,
        )
        asked.failure(None, js=activity_script(str(part.elem_id), "idle"), **PRIVATE)

    wire(page.conflict, page.conflict.count, on_count, COUNTING)
    wire(page.drill, page.drill.look, on_closeup, LOOKING, page.drill)
    wire(page.losses, page.losses.count, on_losses, COUNTING, page.losses)
