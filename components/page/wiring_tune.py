"""Event handlers that load a whole session: from the history, a preset, a link, a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gradio as gr

from dppa_core.errors import DppaError
from dppa_core.recipes.yaml_text import MergeRecipe

from ..session.from_recipe import session_from_recipe
from ..session.link import PARAMETER, session_from_link
from ..session.presets import first_session
from ..session.session import ModelChoice, Session
from ..session.state import session_from_state, state_of
from ..views.controls.models import check_curves, layer_count, opened
from ..views.controls.prune import measuring
from ..views.controls.whole_states import (
    asked,
    asked_recipe,
    file_value,
    hub_names,
    is_at_hand,
    is_embedded,
    opened_beside,
)
from ..views.see.see import exact_payload, plots_payload
from ..widgets.browser_parts import pack
from ..widgets.controls import PRIVATE
from ..work.error_notices import show_errors
from ..work.studio import Studio
from .layout import Page, all_outputs, restored, sent_once

TUNING = {"concurrency_id": "tune", "concurrency_limit": 4, **PRIVATE}
"""Restoring a session does not wait for chats or scores."""
FAILED = "() => { window.dppa.tuneFailed(); return []; }"


def wire_tune(page: Page, studio: Studio) -> None:
    """Restore a session, read a recipe, write one."""
    outputs = [*all_outputs(page), page.tune]

    @show_errors
    def on_restore(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        number, state = asked(values[page.tune], "state")
        session = opened(session_from_state(state), studio)
        yield from _followed(page, session, number, studio)

    @show_errors
    def on_read(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        number, text = asked(values[page.tune], "recipe")
        try:
            recipe, notes = asked_recipe(text, studio)
            yield from _followed(page, _of_recipe(recipe, studio), number, studio, notes)
        except DppaError as error:  # shown in the panel, which would cover a notice
            yield {page.tune: pack({"refused": str(error), "id": number})}

    @show_errors
    def on_write(values: dict[Any, Any]) -> dict[Any, Any]:
        number, _ = asked(values[page.tune], "id")
        return {page.tune: pack(file_value(page.controls.session(values), number))}

    inputs = {page.tune}
    restoring = page.tune.restore(
        on_restore, inputs=inputs, outputs=outputs, trigger_mode="multiple", **TUNING
    )
    reading = page.tune.read(
        on_read, inputs=inputs, outputs=outputs, trigger_mode="multiple", **TUNING
    )
    writing = page.tune.write(
        on_write, inputs=page.controls.inputs | inputs, outputs=[page.tune], **TUNING
    )
    for event in (restoring, reading, writing):
        event.failure(None, js=FAILED, **PRIVATE)


def _followed(
    page: Page, session: Session, number: int, studio: Studio, notes: Sequence[str] = ()
) -> Iterator[dict[Any, Any]]:
    """Measure what a session needs, then yield all its updates."""
    if not is_at_hand(session, studio):
        for what in measuring(session, studio):
            yield {page.see.exact: pack({"measuring": what})}
    check_curves(session, studio)
    done = {"done": number, **({"notes": list(notes)} if notes else {})}
    yield from sent_once(restored(page, session, studio) | {page.tune: pack(done)})


def _of_recipe(recipe: MergeRecipe, studio: Studio) -> Session:
    """The session of a recipe; counts the layers first if it has coefficients by layer."""
    layers = 0
    if any(isinstance(model.coefficient, Mapping) for model in recipe.models):
        choice = ModelChoice(recipe.models[0].model)
        bare = opened(Session(base=recipe.base, models=(choice,)), studio)
        layers = layer_count(bare.base, bare.models[0].reference, studio)
    return opened(session_from_recipe(recipe, layers), studio)


def opening(page: Page, request: gr.Request, studio: Studio) -> dict[Any, Any]:
    """The initial state of the page: the settings in its address, or the first preset, with what
    else it opens, or a notice if the address is invalid. The browser requests measurements once the
    page is loaded, and asks the person first if the Hub would be asked: anybody can send a link."""
    linked = None
    try:
        opens = opened_beside(request.query_params)
        value: dict[str, Any] = {"opens": opens} if opens else {}
        text = str(request.query_params.get(PARAMETER) or "")
        if text:
            session = session_from_link(text)
            if names := hub_names(session, studio):
                value |= {"confirm": state_of(session), "hub": names}
            else:
                session = opened(session, studio)
                if is_embedded(session):
                    check_curves(session, studio)
                    linked = restored(page, session, studio)
                else:
                    value |= {"open": state_of(session)}
    except DppaError as error:
        value = {"notice": str(error)}
    tune = {page.tune: pack(value)} if value else {}
    if linked is not None:
        return linked | tune
    session = first_session()
    return {
        page.see.plots: pack(plots_payload(session, studio, adopt=True)),
        page.see.exact: pack(exact_payload(session, studio, adopt=True)),
        **tune,
    }
