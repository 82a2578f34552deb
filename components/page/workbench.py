"""The page: lays the views out, and starts the server."""

from __future__ import annotations

import gradio as gr

from components.learn.learn import build_learn, wire_learn
from components.page.api import add_api
from components.page.layout import Page
from components.page.wiring import wire
from components.page.wiring_chat import wire_chat
from components.server.guards.hosts import is_foreign
from components.server.guards.value_guard import GuardedBlocks
from components.server.queue.fair_queue import OF_ONE_TAB, Turns
from components.server.serving import start
from components.server.settings import read_settings
from components.session.presets import first_session
from components.session.session import Session
from components.views.chat.chat import ChatView, build_chat
from components.views.controls.amplify import build_amplify
from components.views.controls.hub_offer import build_offer
from components.views.controls.methods import build_method
from components.views.controls.models import ModelsView, build_adding, build_models, build_preset
from components.views.controls.prune import build_advanced, build_overrides, build_rate
from components.views.controls.significance import build_significance
from components.views.controls.whole_states import build_tune
from components.views.export.export import ExportView, build_export, wire_export
from components.views.export.push import PushView, build_push, wire_push
from components.views.score.perplexity import PerplexityView, build_perplexity, wire_perplexity
from components.views.score.score import ScoreView, build_score, wire_score
from components.views.score.search import SearchView, build_search, wire_search
from components.views.see.advice import build_advice, wire_advice
from components.views.see.attribution import build_attribution, wire_attribution
from components.views.see.compare import build_compare, wire_compare
from components.views.see.conflict import build_conflict
from components.views.see.experiments import RESULTS, build_experiments, wire_experiments
from components.views.see.matrix import build_drill
from components.views.see.see import build_see
from components.views.see.sparsity import build_losses
from components.widgets.browser_parts import static
from components.widgets.controls import Controls
from components.widgets.header import EXPLAIN, build_panes, build_status, build_title
from components.widgets.runs import RunView
from components.widgets.view_switch import build_views
from components.work.downloads.files import Exports
from components.work.downloads.limits import OWN, PUBLIC
from components.work.gradio_inside import hide_login, use_queue
from components.work.rate_limits import TOKENS_PER_HOUR, Allowance
from components.work.studio import Studio

__all__ = ["build_page", "start"]


def build_page(studio: Studio | None = None) -> gr.Blocks:
    """The whole interface, its queue configured; nothing is loaded or started yet."""
    studio = studio or Studio(public=read_settings().public)
    session = first_session()
    exports = Exports(PUBLIC if studio.public else OWN)
    allowance = Allowance(TOKENS_PER_HOUR if studio.public else 10**9)
    with GuardedBlocks(title="DPPA Studio", fill_width=True, analytics_enabled=False) as blocks:
        page = _layout(session, studio, exports, allowance)
        wire(blocks, page, studio)
        add_api(studio, exports, allowance)
    hide_login(blocks)
    blocks.studio, blocks.exports = studio, exports
    blocks.queue(api_open=False)
    use_queue(blocks, Turns(blocks, OF_ONE_TAB if studio.public else None))
    return blocks


def _layout(session: Session, studio: Studio, exports: Exports, allowance: Allowance) -> Page:
    with gr.Row(elem_id="head"):
        build_title()
        preset = build_preset(studio)
        with gr.Column(elem_id="tools", min_width=0):
            tune = build_tune(session)
            status = build_status()
    offer = build_offer()
    with gr.Row(elem_id="work"):
        with gr.Column(elem_id="shape-column"):
            models, method, advice, rate, overrides, amplify = _build_shape(session)
            with gr.Accordion("Advanced", open=False, elem_id="advanced"):
                pruning = build_advanced(session, build_significance(session))
                adding = build_adding(studio)
        with gr.Column(elem_id="see-column"):
            gr.HTML('<h2 class="sr">What the merge keeps</h2>', js_on_load=None)
            build_views()
            see = build_see()
            compare = build_compare()
            attribution = build_attribution()
            experiments = build_experiments()
            conflict = build_conflict()
            drill = build_drill()
            losses = build_losses()
        with gr.Column(elem_id="side-column"):
            build_panes()
            chat, score, perplexity, search, export, push = _build_panes(session, studio)
    learn = build_learn()
    controls = Controls(
        models=models,
        rate=rate,
        partitions=pruning.partitions,
        shares=pruning.editor,
        strength=pruning.strength,
        k_layer=pruning.k_layer,
        k_module=pruning.k_module,
        significance=pruning.significance,
        amplify=amplify,
        method=method,
        overrides=overrides,
    )
    wire_advice(advice, controls, studio)
    wire_chat(chat, controls, studio, allowance)
    wire_score(score, controls, studio)
    wire_perplexity(perplexity, score.other, controls, studio)
    wire_search(search, controls, studio)
    wire_export(export, controls, studio, exports)
    wire_compare(compare, controls, studio)
    wire_attribution(attribution, controls, studio)
    wire_experiments(experiments, read_settings().experiments or RESULTS)
    known = read_settings().known_hosts
    wire_push(push, controls, studio, exports, lambda headers: is_foreign(headers, known))
    wire_learn(learn, controls, studio)
    view = ModelsView(preset, models, *adding)
    timer = gr.Timer(1.0, active=True)
    return Page(
        controls, view, offer, pruning, see, conflict, drill, losses, chat, status, tune, timer
    )


def _build_panes(
    session: Session, studio: Studio
) -> tuple[ChatView, ScoreView, PerplexityView, SearchView, ExportView, PushView]:
    with gr.Column(elem_id="chat-pane", elem_classes="pane"):
        gr.HTML("<h2>Chat</h2>", js_on_load=None)
        chat = build_chat(session)
    with gr.Column(elem_id="score-pane", elem_classes="pane"):
        gr.HTML("<h2>Score</h2>", js_on_load=None)
        score, perplexity = build_score(), build_perplexity()
    with gr.Column(elem_id="search-pane", elem_classes="pane"):
        gr.HTML("<h2>Search</h2>", js_on_load=None)
        search = build_search()
    with gr.Column(elem_id="export-pane", elem_classes="pane"):
        gr.HTML("<h2>Export</h2>", js_on_load=None)
        export, push = build_export(), build_push(studio)
    return chat, score, perplexity, search, export, push


def _build_shape(
    session: Session,
) -> tuple[gr.HTML, gr.HTML, RunView, gr.Slider, gr.HTML, gr.HTML]:
    with gr.Column(elem_id="models-box", elem_classes="box"):
        gr.HTML("<h2>Models</h2>", js_on_load=None)
        models = build_models(session)
    with gr.Column(elem_id="method-box", elem_classes="box"):
        method = build_method(session)
        advice = build_advice()
    with gr.Column(elem_id="sliders-box", elem_classes="box"):
        gr.HTML("<h2>Prune</h2>", js_on_load=None)
        rate = build_rate(session)
        overrides = build_overrides(session)
        gr.HTML("<h2>Amplify</h2>", js_on_load=None)
        amplify = build_amplify(session)
        static(EXPLAIN, "explain")
    return models, method, advice, rate, overrides, amplify
