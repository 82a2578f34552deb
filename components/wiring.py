"""What follows what: the controls wired to plots, chat and status.

Every handler takes a dict keyed by component, reads one frozen Session from it, and gives a dict
back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from components.chat import ChatView, target_choices
from components.forms import PRIVATE, Controls
from components.header import status_value
from components.live import pack
from components.models import (
    ModelsView,
    chosen_reference,
    chosen_references,
    preset_session,
    with_base,
    with_model,
)
from components.notices import show_errors
from components.presets import first_session
from components.prune import AdvancedPruning, levels_problem, with_levels, with_partitions
from components.see import SeeView, exact_payload, plots_payload
from components.session import Session
from components.studio import Studio
from dppa_core.errors import DppaError, InvalidValue
from dppa_core.recipe import recipe_hash

LIVE = {"queue": False, "trigger_mode": "always_last", **PRIVATE}
"""Events of moving sliders. They skip the queue, so a notice cannot reach the page from them:
what is foreseen to fail there is told by the line of exact numbers."""
MEASURING = {"concurrency_id": "model", "concurrency_limit": 1, **PRIVATE}


@dataclass(frozen=True, slots=True)
class Page:
    """All components that handlers read or write."""

    controls: Controls
    models: ModelsView
    pruning: AdvancedPruning
    see: SeeView
    chat: ChatView
    status: gr.HTML
    timer: gr.Timer


def wire(blocks: gr.Blocks, page: Page, studio: Studio) -> None:
    """Set up every event between views."""
    page.controls.tell_browser()
    _wire_exact(page, studio)
    _wire_strength(page, studio)
    _wire_levels(page, studio)
    _wire_models(page, studio)
    _wire_opening(blocks, page, studio)


def _wire_exact(page: Page, studio: Studio) -> None:
    """The server's plan follows when the controls rest."""
    controls = page.controls

    @show_errors
    def on_settle(values: dict[Any, Any]) -> dict[Any, Any]:
        try:
            return {page.see.exact: pack(exact_payload(controls.session(values), studio))}
        except DppaError as error:
            return {page.see.exact: pack({"trouble": str(error)})}

    page.see.exact.rest(
        on_settle,
        inputs=controls.inputs,
        outputs=[page.see.exact],
        preprocess=False,  # a number box half typed is no error
        **LIVE,
    )

    @show_errors
    def on_partitions(values: dict[Any, Any]) -> dict[Any, Any]:
        session = with_partitions(controls.session(values))
        return {
            controls.shares: session.shares,
            page.pruning.levels: "",
            page.see.exact: pack(exact_payload(session, studio)),
        }

    controls.partitions.input(
        on_partitions,
        inputs=controls.inputs,
        outputs=[controls.shares, page.pruning.levels, page.see.exact],
        **LIVE,
    )


def _wire_strength(page: Page, studio: Studio) -> None:
    """Strength and outliers change the tables themselves."""
    controls = page.controls

    @show_errors
    def on_strength(values: dict[Any, Any]) -> dict[Any, Any]:
        return {page.see.plots: pack(plots_payload(controls.session(values), studio))}

    gr.on(
        [controls.strength.change, controls.k_layer.change, controls.k_module.change],
        on_strength,
        inputs=controls.inputs,
        outputs=[page.see.plots],
        **LIVE,
    )


def _wire_levels(page: Page, studio: Studio) -> None:
    controls, pruning = page.controls, page.pruning
    set_by_text = [controls.rate, controls.partitions, controls.shares]

    @show_errors
    def on_levels(values: dict[Any, Any]) -> dict[Any, Any]:
        session = controls.session(values)
        try:
            session = with_levels(session, values[pruning.levels])
        except InvalidValue as error:  # told beside the box; everything else stays
            return {pruning.levels_note: pack(levels_problem(values[pruning.levels], error))}
        shown = controls.show(session)
        return {key: shown[key] for key in set_by_text} | {
            pruning.levels_note: pack(None),
            page.see.exact: pack(exact_payload(session, studio, adopt=True)),
        }

    pruning.levels_note.apply(
        on_levels,
        inputs=controls.inputs | {pruning.levels},
        outputs=[*set_by_text, pruning.levels_note, page.see.exact],
        **PRIVATE,
    )


def _shown(page: Page, session: Session, studio: Studio, look: str = "") -> dict[Any, Any]:
    """Everything that follows when the models or all controls change at once."""
    answering = target_choices(session)
    return page.controls.show(session) | {
        page.see.plots: pack(plots_payload(session, studio, adopt=True, look=look)),
        page.see.exact: pack(exact_payload(session, studio, adopt=True)),
        page.chat.targets: gr.CheckboxGroup(choices=answering, value=["merged"]),
        page.pruning.levels: "",
    }


def _all_outputs(page: Page) -> list[Component]:
    return [
        *page.controls.inputs,
        page.see.plots,
        page.see.exact,
        page.chat.targets,
        page.pruning.levels,
    ]


def _wire_models(page: Page, studio: Studio) -> None:
    controls, view = page.controls, page.models

    @show_errors
    def on_preset(values: dict[Any, Any]) -> dict[Any, Any]:
        return _shown(page, preset_session(values, view), studio)

    @show_errors
    def on_add(values: dict[Any, Any]) -> dict[Any, Any]:
        reference = chosen_reference(values[view.reference], studio)
        session = with_model(controls.session(values), reference, studio)
        return _shown(page, session, studio, look=reference)

    @show_errors
    def on_base(values: dict[Any, Any]) -> dict[Any, Any]:
        base, *models = chosen_references(values[view.reference], studio)
        session = with_base(controls.session(values), base, models, studio)
        return _shown(page, session, studio, look=models[0] if models else "")

    outputs = _all_outputs(page)
    view.preset.choose(on_preset, inputs={view.preset}, outputs=outputs, **PRIVATE)
    naming = controls.inputs | {view.reference}
    view.add.click(on_add, inputs=naming, outputs=outputs, **MEASURING)
    view.use.click(on_base, inputs=naming, outputs=outputs, **MEASURING)

    @show_errors
    def on_removed(values: dict[Any, Any]) -> dict[Any, Any]:
        session = controls.session(values)
        return {
            page.see.plots: pack(plots_payload(session, studio)),
            page.see.exact: pack(exact_payload(session, studio)),
            page.chat.targets: gr.CheckboxGroup(choices=target_choices(session)),
        }

    controls.models.remove(
        on_removed,
        inputs=controls.inputs,
        outputs=[page.see.plots, page.see.exact, page.chat.targets],
        **PRIVATE,
    )


def _wire_opening(blocks: gr.Blocks, page: Page, studio: Studio) -> None:
    session = first_session()
    recipe = session.recipe()

    @show_errors
    def on_open() -> dict[Any, Any]:
        try:
            return {
                page.see.plots: pack(plots_payload(session, studio, adopt=True)),
                page.see.exact: pack(exact_payload(session, studio, adopt=True)),
            }
        except DppaError as error:
            return {page.see.exact: pack({"trouble": str(error)})}
        finally:
            studio.opened.set()

    @show_errors
    def on_tick() -> dict[Any, Any]:
        merged = recipe_hash(recipe) if studio.merged(recipe) else ""
        return {
            page.status: pack(status_value(ready=studio.ready, merged=merged)),
            page.timer: gr.Timer(active=not studio.ready),
        }

    blocks.load(on_open, None, [page.see.plots, page.see.exact], **LIVE)
    page.timer.tick(on_tick, None, [page.status, page.timer], **LIVE)
