"""Event handlers that load a whole session: from the history, a preset, a link, a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from dppa_core.errors import DppaError
from dppa_core.recipes.yaml_text import MergeRecipe

from ..session.link import PARAMETER, session_from_link
from ..session.nearest import nearest_session, within_controls
from ..session.presets import first_session
from ..session.session import ModelChoice, Session
from ..session.state import session_from_state, state_of
from ..views.controls.models import check_curves, layer_count, with_pins
from ..views.controls.prune import measuring
from ..views.controls.whole_states import (
    file_value,
    hub_names,
    is_at_hand,
    is_embedded,
    numbered_value,
    opened_beside,
    read_recipe,
)
from ..views.see.see import exact_payload, plots_payload
from ..widgets.browser_parts import pack
from ..widgets.controls import PRIVATE
from ..work.error_notices import show_errors
from ..work.kinds import RESTORES
from ..work.studio import Studio
from .layout import Page, all_outputs, restored, sent_once

TUNE_QUEUE = RESTORES.turns | PRIVATE
"""Restoring a session does not wait for chats or scores."""
FAILURE_SCRIPT = "() => { window.dppa.tuneFailed(); return []; }"


def wire_tune(page: Page, studio: Studio) -> None:
    """Wire the events that restore a session, read a recipe and write one."""
    outputs = [*all_outputs(page), page.tune]

    @show_errors
    def on_restore(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        number, state = numbered_value(values[page.tune], "state")
        session = with_pins(session_from_state(state), studio)
        yield from _restore(page, session, number, studio)

    @show_errors
    def on_read(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        number, text = numbered_value(values[page.tune], "recipe")
        try:
            recipe, notes = read_recipe(text, studio)
            session, beyond = _session_of(recipe, studio)
            told = {"notes": list(notes), "beyond": beyond}
            yield from _restore(page, session, number, studio, told)
        except DppaError as error:  # shown in the panel, which would cover a notice
            yield {page.tune: pack({"refused": str(error), "id": number})}

    @show_errors
    def on_write(values: dict[Any, Any]) -> dict[Any, Any]:
        number, _ = numbered_value(values[page.tune], "id")
        return {page.tune: pack(file_value(page.controls.session(values), number))}

    sent = {"inputs": {page.tune}, "outputs": outputs, "trigger_mode": "multiple", **TUNE_QUEUE}
    inputs = page.controls.inputs | {page.tune}
    for event in (
        page.tune.restore(on_restore, **sent),
        page.tune.read(on_read, **sent),
        page.tune.write(on_write, inputs=inputs, outputs=[page.tune], **TUNE_QUEUE),
    ):
        event.failure(None, js=FAILURE_SCRIPT, **PRIVATE)


def _restore(
    page: Page, session: Session, number: int, studio: Studio, told: Mapping[str, Any] | None = None
) -> Iterator[dict[Any, Any]]:
    """Make the missing profiles of a session, then yield all its updates."""
    if not is_at_hand(session, studio):
        for step in measuring(session, studio):
            yield {page.see.exact: pack({"measuring": step})}
    check_curves(session, studio)
    beside = {key: value for key, value in (told or {}).items() if value}
    reply = {"done": number, **beside}
    yield from sent_once(restored(page, session, studio) | {page.tune: pack(reply)})


def _session_of(recipe: MergeRecipe, studio: Studio) -> tuple[Session, str]:
    """The session nearest to a recipe, and what it leaves out in words; counts the layers first if
    the recipe has coefficients by layer."""
    layers, reduced = 0, within_controls(recipe)
    if any(isinstance(model.coefficient, Mapping) for model in reduced.models):
        choice = ModelChoice(reduced.models[0].model)
        bare = with_pins(Session(base=reduced.base, models=(choice,)), studio)
        layers = layer_count(bare.base, bare.models[0].reference, studio)
    session, beyond = nearest_session(recipe, reduced, layers)
    return with_pins(session, studio), beyond


def opening(page: Page, request: gr.Request, studio: Studio) -> dict[Any, Any]:
    """The initial updates of the page: the settings in its address or the first preset, the parts
    that the address opens, a notice if it is invalid. The browser requests measurements once the
    page is loaded. It asks the person before the Hub is asked: anybody can send a link."""
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
                session = with_pins(session, studio)
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
