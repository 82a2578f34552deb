"""The page: lays the views out, wires the controls to the plots, and starts the server.

The only place that knows all views. Every handler takes a dict keyed by component, reads one
frozen Session from it, and gives a dict back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from components.amplify import build_amplify
from components.chat import ChatView, build_chat, target_choices, wire_chat
from components.evaluate import build_score, wire_score
from components.forms import PRIVATE, Controls
from components.header import EXPLAIN, build_panes, build_status, build_title, status_value
from components.live import pack, static
from components.models import (
    ModelsView,
    build_adding,
    build_models,
    build_preset,
    checked_reference,
    preset_session,
    with_base,
    with_model,
)
from components.notices import show_errors
from components.presets import first_session
from components.prune import (
    AdvancedPruning,
    build_advanced,
    build_rate,
    with_levels,
    with_partitions,
)
from components.see import SeeView, build_see, exact_payload, plots_payload
from components.serving import is_public, start
from components.session import Session
from components.studio import Studio
from dppa_core.errors import DppaError
from dppa_core.recipe import recipe_hash

__all__ = ["build_page", "start"]

LIVE = {"queue": False, "trigger_mode": "always_last", **PRIVATE}
"""Events of moving sliders. They skip the queue, so a notice cannot reach the page from them:
what is foreseen to fail there is told by the line of exact numbers."""
MEASURING = {"concurrency_id": "model", "concurrency_limit": 1, **PRIVATE}
QUEUE_SIZE = 24


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


def build_page(studio: Studio | None = None) -> gr.Blocks:
    """The whole interface, its queue configured; nothing is loaded or started yet."""
    studio = studio or Studio(public=is_public())
    session = first_session()
    with gr.Blocks(title="DPPA Studio", fill_width=True, analytics_enabled=False) as blocks:
        page = _layout(session, studio)
        page.controls.tell_browser()
        _wire_exact(page, studio)
        _wire_strength(page, studio)
        _wire_levels(page, studio)
        _wire_models(page, studio)
        _wire_opening(blocks, page, studio)
    blocks.studio = studio
    return blocks.queue(max_size=QUEUE_SIZE, api_open=False, default_concurrency_limit=4)


def _layout(session: Session, studio: Studio) -> Page:
    with gr.Row(elem_id="head"):
        build_title()
        preset = build_preset()
        status = build_status()
    with gr.Row(elem_id="work"):
        with gr.Column(elem_id="shape-column"):
            models, rate, amplify = _build_shape(session)
            pruning, reference, add, use = _build_shape_more(session, studio)
        with gr.Column(elem_id="see-column"):
            gr.HTML('<h2 class="sr">What the merge keeps</h2>', js_on_load=None)
            see = build_see()
        with gr.Column(elem_id="side-column"):
            build_panes()
            with gr.Column(elem_id="chat-pane", elem_classes="pane"):
                gr.HTML("<h2>Chat</h2>", js_on_load=None)
                chat = build_chat(session)
            with gr.Column(elem_id="score-pane", elem_classes="pane"):
                gr.HTML("<h2>Score</h2>", js_on_load=None)
                score = build_score()
    controls = Controls(
        models=models,
        rate=rate,
        partitions=pruning.partitions,
        shares=gr.State(session.shares),
        strength=pruning.strength,
        k_layer=pruning.k_layer,
        k_module=pruning.k_module,
        amplify=amplify,
    )
    wire_chat(chat, controls, studio)
    wire_score(score, controls, studio)
    view = ModelsView(preset, models, reference, add, use)
    return Page(controls, view, pruning, see, chat, status, gr.Timer(1.0, active=True))


def _build_shape(session: Session) -> tuple[gr.HTML, gr.Slider, gr.HTML]:
    with gr.Column(elem_id="models-box", elem_classes="box"):
        gr.HTML("<h2>Models</h2>", js_on_load=None)
        models = build_models(session)
    with gr.Column(elem_id="sliders-box", elem_classes="box"):
        gr.HTML("<h2>Prune</h2>", js_on_load=None)
        rate = build_rate(session)
        gr.HTML("<h2>Amplify</h2>", js_on_load=None)
        amplify = build_amplify(session)
        static(EXPLAIN, "explain")
    return models, rate, amplify


def _build_shape_more(
    session: Session, studio: Studio
) -> tuple[AdvancedPruning, gr.Dropdown, gr.Button, gr.Button]:
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        pruning = build_advanced(session)
        reference, add, use = build_adding(studio)
    return pruning, reference, add, use


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
    controls = page.controls

    @show_errors
    def on_levels(values: dict[Any, Any]) -> dict[Any, Any]:
        session = with_levels(controls.session(values), values[page.pruning.levels])
        shown = controls.show(session)
        changed = {key: shown[key] for key in (controls.rate, controls.partitions, controls.shares)}
        return changed | {page.see.exact: pack(exact_payload(session, studio, adopt=True))}

    page.pruning.levels.submit(
        on_levels,
        inputs=controls.inputs | {page.pruning.levels},
        outputs=[controls.rate, controls.partitions, controls.shares, page.see.exact],
        **PRIVATE,
    )


def _shown(page: Page, session: Session, studio: Studio) -> dict[Any, Any]:
    """Everything that follows when the models or all controls change at once."""
    answering = target_choices(session)
    return page.controls.show(session) | {
        page.see.plots: pack(plots_payload(session, studio, adopt=True)),
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
        reference = checked_reference(values[view.reference])
        return _shown(page, with_model(controls.session(values), reference, studio), studio)

    @show_errors
    def on_base(values: dict[Any, Any]) -> dict[Any, Any]:
        reference = checked_reference(values[view.reference])
        return _shown(page, with_base(controls.session(values), reference, studio), studio)

    outputs = _all_outputs(page)
    view.preset.input(on_preset, inputs={view.preset}, outputs=outputs, **PRIVATE)
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
