"""The page: layout of the views, and start of the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from starlette.datastructures import Headers

from ..learn.learn import wire_learn
from ..server.guards.hosts import is_foreign
from ..server.guards.value_guard import GuardedBlocks
from ..server.living import living_value
from ..server.queue.fair_queue import OF_ONE_TAB, FairQueue
from ..server.serving import start
from ..server.settings import read_settings
from ..session.forms import FORM_CONTROLS
from ..session.json_form import factors_json, models_json, overrides_json
from ..session.method_choice import catalogue, method_json
from ..session.presets import first_session
from ..session.session import Session
from ..session.state import state_of
from ..views.chat.chat import build_chat
from ..views.controls.models import ModelsView, build_own, build_preset
from ..views.controls.prune import AdvancedPruning, build_advanced, build_rate, build_significance
from ..views.controls.whole_states import build_tune
from ..views.export.export import add_export
from ..views.export.push import build_push, wire_push
from ..views.score.course import add_course
from ..views.score.own_questions import add_own_questions
from ..views.score.perplexity import add_perplexity
from ..views.score.ready_tasks import TaskOffer, add_ready_tasks
from ..views.score.score import add_score
from ..views.score.search import add_search
from ..views.score.size import SizeView, build_size, wire_size
from ..views.see.advice import build_advice, wire_advice
from ..views.see.attribution import add_attribution
from ..views.see.compare import add_compare
from ..views.see.counts import add_counts
from ..views.see.experiments import RESULTS, add_experiments
from ..views.see.matrix import add_matrix
from ..views.see.pinned import build_pinned, opening_question
from ..views.see.see import build_see
from ..views.see.spectrum import add_spectrum
from ..widgets.browser_parts import live, static
from ..widgets.controls import Controls
from ..widgets.header import EXPLAIN, SCRIPT, SKIP, TITLE, build_panes, build_views, status_value
from ..work.downloads.files import Exports
from ..work.downloads.limits import LOCAL, PUBLIC
from ..work.gradio_inside import hide_login, use_queue
from ..work.rate_limits import TOKENS_PER_HOUR, Allowance
from ..work.studio import Studio
from .api import add_api
from .layout import Page
from .wiring import wire
from .wiring_chat import wire_chat

__all__ = ["build_page", "start"]


def build_page(studio: Studio | None = None) -> GuardedBlocks:
    """The whole interface with its queue; loads no model and starts no server."""
    studio = studio or Studio(public=read_settings().public, apart=True)
    session = first_session()
    exports = Exports(PUBLIC if studio.public else LOCAL)
    allowance = Allowance(TOKENS_PER_HOUR if studio.public else 10**9)
    blocks = GuardedBlocks(title="DPPA Studio", fill_width=True, analytics_enabled=False)
    with blocks:
        page = _layout(session, studio, exports, allowance)
        wire(blocks, page, studio)
        add_api(studio, exports, allowance)
    hide_login(blocks)
    blocks.studio, blocks.exports = studio, exports
    blocks.queue(api_open=False)
    use_queue(blocks, FairQueue(blocks, OF_ONE_TAB if studio.public else None))
    return blocks


def _layout(session: Session, studio: Studio, exports: Exports, allowance: Allowance) -> Page:
    static(SKIP, "skip")
    with gr.Row(elem_id="head"):
        static(TITLE, "title")
        preset = build_preset(studio)
        with gr.Column(elem_id="tools", min_width=0):
            tune = build_tune(session, living_value(read_settings()))
            status = live("status", status_value(ready=False), events=("look",))
    offer = live("offer", None, events=("look", "check", "fetch", "stop"))
    with gr.Row(elem_id="work"):
        with gr.Column(elem_id="strip-column"):
            with gr.Row(elem_id="script-row"):
                static(SCRIPT, "script")
                live("guide", {"state": state_of(session), "question": opening_question()})
            live("strip", None)
        with gr.Column(elem_id="shape-column"):
            controls, models, pruning = _build_shape(session, studio, preset)
        with gr.Column(elem_id="see-column"):
            gr.HTML('<h2 class="sr">What the merge keeps</h2>', js_on_load=None)
            build_views()
            pinned = build_pinned()
            see = build_see()
            add_compare(controls, studio)
            add_spectrum(controls, studio)
            add_attribution(controls, studio)
            results = read_settings().experiments
            add_experiments((results, *RESULTS) if results else RESULTS)
            add_counts(controls, studio)
            add_matrix(controls, studio)
            size = build_size()
        with gr.Column(elem_id="side-column"):
            build_panes()
            with _part("chat-pane", "Chat", "pane"):
                chat = build_chat(session)
                wire_chat(chat, controls, studio, allowance)
            _build_panes(controls, studio, exports, allowance, size)
    wire_learn(live("learn", None, events=("ask",)), controls, studio)
    timer = gr.Timer(1.0, active=True)
    return Page(controls, models, offer, pruning, see, pinned, chat, status, tune, timer)


@contextmanager
def _part(elem_id: str, title: str, kind: str = "box") -> Iterator[None]:
    """A column under a heading."""
    with gr.Column(elem_id=elem_id, elem_classes=kind):
        gr.HTML(f"<h2>{title}</h2>", js_on_load=None)
        yield


def _build_panes(
    controls: Controls, studio: Studio, exports: Exports, allowance: Allowance, size: SizeView
) -> None:
    settings = read_settings()
    offer = TaskOffer(settings.offered_tasks if studio.public else None, settings.task_files)
    with _part("score-pane", "Score", "pane"):
        slot = add_score(controls, studio)
        questions = add_own_questions(slot, controls, studio, allowance)
        add_ready_tasks(slot, controls, studio, allowance, offer)
        add_perplexity(slot, controls, studio)
        wire_size(size, questions, controls, studio)
    with _part("search-pane", "Search", "pane"):
        add_search(controls, studio, questions)
        add_course(studio)
    with _part("export-pane", "Export", "pane"):
        add_export(controls, studio, exports)

        def from_elsewhere(headers: Headers) -> bool:
            return is_foreign(headers, settings.known_hosts)

        wire_push(build_push(studio), controls, studio, exports, from_elsewhere)


def _build_shape(
    session: Session, studio: Studio, preset: gr.HTML
) -> tuple[Controls, ModelsView, AdvancedPruning]:
    with _part("sliders-box", "Prune"):
        rate = build_rate(session)
        overrides = live("overrides", overrides_json(session), events=("change",))
        gr.HTML("<h2>Amplify <small>(× 1 changes nothing)</small></h2>", js_on_load=None)
        amplify = live("amplify", factors_json(session), events=("change",))
        static(EXPLAIN, "explain")
    with _part("forms-box", "Kept as"):
        live("forms", [control.row() for control in FORM_CONTROLS])
    with _part("models-box", "Models"):
        models = live("models", models_json(session), events=("change", "remove", "keep"))
        view = ModelsView(preset, *build_own(studio))
    with gr.Column(elem_id="method-box", elem_classes="box"):
        value = {"methods": catalogue(), **method_json(session.method)}
        method = live("method", value, events=("choose",))
        advice = build_advice()
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        significance = build_significance(session)
        pruning, sliders = build_advanced(session)
    parts: dict[str, Any] = {"models": models, "rate": rate, "amplify": amplify, "method": method}
    controls = Controls({**parts, "overrides": overrides, "significance": significance, **sliders})
    wire_advice(advice, controls, studio)
    return controls, view, pruning
