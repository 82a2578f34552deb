"""The search for the best settings, on a button; assets/js/panes/search.js draws it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from dppa_core.system.recent import Recent

from ...widgets.controls import PRIVATE, Controls, activity_script, failed_script, queued, slider
from ...widgets.runs import build_run, streaming, wire_stop
from ...work.kinds import SEARCHES
from ...work.studio import Studio
from .adamerging_work import own_batch, stream_adamerging
from .own_lists import QuestionBox, limits_of
from .search_words import (
    ADAMERGING,
    GOALS,
    ITEMS,
    OBJECTIVES,
    RANGES,
    START,
    STEPS,
    TRIALS,
    VALUES,
    goal_words,
    knob_words,
    lists_of_models,
    range_words,
    read_search,
)
from .search_work import stream_search

MAX_SEARCHES = 24
"""Searches whose trials are kept for resuming."""
IDLE: dict[str, Any] = {"state": "idle", "id": "", "way": "joint", "trials": [], "result": None}


def _build_varied() -> dict[str, Any]:
    """Build the settings that Optuna or a grid varies."""
    with gr.Column(elem_id="search-optuna"):
        vary = gr.CheckboxGroup(
            [(range_words(text), name) for name, text in RANGES.items()],
            value=["rate", "factors"],
            label="Vary",
            elem_id="search-vary",
        )
        goals = gr.Dropdown(
            [(goal_words(name), name) for name in GOALS],
            value="retention",
            label="Search for",
            elem_id="search-goals",
        )
        trials = gr.Slider(
            *TRIALS, value=20, step=1, label="Trials (number)", elem_id="search-trials", buttons=[]
        )
    with gr.Row(elem_id="search-grid"):
        sides = [(knob_words(name), name) for name in VALUES]
        down = gr.Dropdown(sides, value="rate", label="Down", elem_id="search-down")
        across = gr.Dropdown(sides, value="factor", label="Across", elem_id="search-across")
    return {"vary": vary, "goals": goals, "trials": trials, "down": down, "across": across}


def _build_adamerging() -> dict[str, Any]:
    """Build the settings of AdaMerging."""
    with gr.Column(elem_id="search-adamerging"):
        per = gr.Radio(
            [("one per model", "model"), ("one per model and layer", "layer")],
            value="model",
            label="Coefficients",
            elem_id="search-per",
        )
        objective = gr.Dropdown(
            [(words, name) for name, words in OBJECTIVES.items()],
            value="entropy",
            label="Objective",
            info="What a step lowers, at the models' answers to prompts. No right answer is read.",
            elem_id="search-objective",
        )
        steps = slider(
            "search-steps",
            (*STEPS, 10),
            30,
            "Steps (number)",
            "Each moves a coefficient by about 0.02. Held-out questions are asked about ten times.",
        )
        start = slider(
            "search-start",
            (*START, 0.1),
            1.0,
            "Start (×)",
            "Every coefficient before the first step. 1 suits pruned merges; the paper's is 0.3.",
        )
    return {"per": per, "objective": objective, "steps": steps, "start": start}


def add_search(controls: Controls, studio: Studio, questions: QuestionBox) -> None:
    """Add the kind of search, its settings, the buttons, the plot."""
    cache, choices = Recent(MAX_SEARCHES), _build_choices()
    by_own_questions = gr.Checkbox(
        label="By your own questions",
        info="Those of the pane Score, in place of the embedded ones. A search asks one half, "
        "Score the other. A list for each model balances what is kept of each.",
        elem_id="search-own",
    )
    runs = build_run("search", "Start", value=IDLE, events=("start",))

    def on_search(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        by_name = {name: values[component] for name, component in choices.items()}
        session = controls.session(values)
        request, adamerging = read_search(by_name, session), by_name["way"] == ADAMERGING
        if values[by_own_questions] is True:
            lists = questions.read(values, session, limits_of(studio))
            request = replace(request, questions=lists_of_models(lists, request.recipe))
        if adamerging:
            return stream_adamerging(own_batch(request), studio)
        return stream_search(request, studio, cache)

    show = "(way) => { document.body.dataset.search = way; window.dppa.redraw(); return []; }"
    choices["way"].change(None, [choices["way"]], js=show, **PRIVATE)
    # The button calls the browser's part, which starts a search only if none runs: Gradio ignores a
    # second click until the first one's work is reported as cancelled.
    runs.run.click(None, js="() => { window.dppa.startSearch?.(); return []; }", **PRIVATE)
    running = runs.part.start(
        streaming(runs.part, on_search),
        inputs=controls.inputs | set(choices.values()) | questions.inputs | {by_own_questions},
        outputs=[runs.part],
        **SEARCHES.turns,
        trigger_mode="multiple",
        **queued(runs.place),
    )
    running.failure(None, js=activity_script("search", "idle"), **PRIVATE)
    running.failure(None, js=failed_script("search"), **PRIVATE)
    wire_stop("search", runs, running)


def _build_choices() -> dict[str, Any]:
    """Build the controls, by their names in `read_search`."""
    way = gr.Radio(
        [
            *(("joint", "joint"), ("climb", "climb"), ("Optuna", "optuna"), ("grid", "grid")),
            ("AdaMerging (no labels)", ADAMERGING),
        ],
        value="joint",
        label="Search by",
        info="Joint: what the method has of factors, coefficient and strength, together, 24 "
        "settings or more; rates and models stay. Climb: the paper's way, one "
        "factor after the other, each model alone. Optuna: many settings at once. Grid: every "
        "pair of two settings. AdaMerging: coefficients, from prompts without answers.",
        elem_id="search-way",
    )
    per_model = gr.Checkbox(
        label="Factors of each model",
        info="Off, all models share them. On, a joint search also finds the ratio that models in "
        "conflict need, with more settings.",
        elem_id="search-per-model",
    )
    varied = _build_varied() | _build_adamerging()
    limit = slider(
        "search-limit",
        (*ITEMS, 8),
        32,
        "Questions (per domain)",
        "Of the search split: none of them is in the test. More take longer and show "
        "smaller differences between settings.",
    )
    return {"way": way, "per_model": per_model, "limit": limit, **varied}
