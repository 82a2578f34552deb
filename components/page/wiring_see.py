"""What follows what in the middle column, beside the plots that sliders move.

Every handler takes a dict keyed by component and gives a dict back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from components.page.layout import Page
from components.views.see.conflict import conflict_payload
from components.views.see.matrix import drill_payload, wanted
from components.views.see.sparsity import asked_model, losses_payload
from components.widgets.browser_parts import pack
from components.widgets.controls import PRIVATE, activity_script
from components.work.error_notices import show_errors
from components.work.studio import Studio
from dppa_core.system.recent import Recent

COUNTING = {"concurrency_id": "count", "concurrency_limit": 1, **PRIVATE}
"""One count at a time for all visitors together: it keeps a core busy, but nobody waiting."""


LOOKING = {"concurrency_id": "look", "concurrency_limit": 2, **PRIVATE}
"""Reading one matrix; for many visitors two at a time."""


def wire_see(page: Page, studio: Studio) -> None:
    """Set up what the views of the middle column ask for."""
    _wire_conflict(page, studio)
    _wire_drill(page, studio)
    _wire_losses(page, studio)


def _wire_conflict(page: Page, studio: Studio) -> None:
    controls, conflict = page.controls, page.conflict

    @show_errors
    def on_count(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        for value in conflict_payload(controls.session(values), studio):
            yield {conflict: pack(value)}

    counted = conflict.count(
        on_count,
        inputs=controls.inputs,
        outputs=[conflict],
        trigger_mode="always_last",
        preprocess=False,  # a number box half typed is no error
        **COUNTING,
    )
    counted.failure(None, js=activity_script("conflict", "idle"), **PRIVATE)


def _wire_drill(page: Page, studio: Studio) -> None:
    controls, drill, looks = page.controls, page.drill, Recent(100)

    @show_errors
    def on_closeup(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        session = controls.session(values)
        for value in drill_payload(session, wanted(values[drill], session), studio, looks):
            yield {drill: pack(value)}

    looked = drill.look(
        on_closeup,
        inputs=controls.inputs | {drill},
        outputs=[drill],
        trigger_mode="always_last",
        preprocess=False,
        **LOOKING,
    )
    looked.failure(None, js=activity_script("drill", "idle"), **PRIVATE)


def _wire_losses(page: Page, studio: Studio) -> None:
    controls, losses, counts = page.controls, page.losses, Recent(200)

    @show_errors
    def on_losses(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        session = controls.session(values)
        model = asked_model(values[losses], session)
        for value in losses_payload(session, model, studio, counts):
            yield {losses: pack(value) if "counting" not in value else gr.skip()}

    counted = losses.count(
        on_losses,
        inputs=controls.inputs | {losses},
        outputs=[losses],
        trigger_mode="always_last",
        preprocess=False,
        **COUNTING,
    )
    counted.failure(None, js=activity_script("losses", "idle"), **PRIVATE)
