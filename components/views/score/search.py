"""The search for the best factors or settings of this merge, on a button.

assets/js/panes/search.js draws it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from components.views.score.search_words import (
    GOALS,
    ITEMS,
    RANGES,
    TRIALS,
    VALUES,
    goal_words,
    knob_words,
    range_words,
    read_hunt,
)
from components.views.score.search_work import stream_hunt
from components.widgets.controls import PRIVATE, Controls, activity_script, failed_script, queued
from components.widgets.runs import RunView, build_run, streaming, wire_stop
from components.work.studio import Studio
from dppa_core.system.recent import Recent

KEPT = 24
"""Number of searches whose trials are kept for resuming."""
IDLE: dict[str, Any] = {"state": "idle", "id": "", "way": "climb", "trials": [], "result": None}


@dataclass(frozen=True, slots=True)
class SearchView:
    """The components of the pane."""

    way: gr.Radio
    limit: gr.Slider
    vary: gr.CheckboxGroup
    goals: gr.Dropdown
    trials: gr.Slider
    down: gr.Dropdown
    across: gr.Dropdown
    runs: RunView

    @property
    def choices(self) -> dict[str, Any]:
        """The controls by their names in `read_hunt`."""
        names = ("way", "limit", "vary", "goals", "trials", "down", "across")
        return {name: getattr(self, name) for name in names}


def build_search() -> SearchView:
    """The kind of search, its settings, the buttons, the plot."""
    way = gr.Radio(
        [("climb", "climb"), ("Optuna", "optuna"), ("grid", "grid")],
        value="climb",
        label="Search by",
        info="Climb: the paper's way, one factor after the other, each model alone. Optuna: many "
        "settings at once. Grid: every pair of two settings.",
        elem_id="search-way",
    )
    varied = _build_varied()
    limit = gr.Slider(
        *ITEMS,
        value=32,
        step=8,
        label="Questions (per domain)",
        info="Of the search split: none of them is in the test. More take longer and show "
        "smaller differences between settings.",
        elem_id="search-limit",
        buttons=[],
    )
    runs = build_run("search", "Start", value=IDLE, events=("start",))
    return SearchView(way, limit, *varied, runs)


def _build_varied() -> tuple[gr.CheckboxGroup, gr.Dropdown, gr.Slider, gr.Dropdown, gr.Dropdown]:
    """The settings that Optuna or a grid varies."""
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
            *TRIALS, value=20, step=1, label="Trials", elem_id="search-trials", buttons=[]
        )
    with gr.Row(elem_id="search-grid"):
        sides = [(knob_words(name), name) for name in VALUES]
        down = gr.Dropdown(sides, value="rate", label="Down", elem_id="search-down")
        across = gr.Dropdown(sides, value="factor", label="Across", elem_id="search-across")
    return vary, goals, trials, down, across


def wire_search(view: SearchView, controls: Controls, studio: Studio) -> None:
    """Start, Cancel, and the visible controls of each kind of search."""
    known = Recent(KEPT)

    def on_search(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        given = {name: values[component] for name, component in view.choices.items()}
        return stream_hunt(read_hunt(given, controls.session(values)), studio, known)

    show = "(way) => { document.body.dataset.search = way; window.dppa.redraw(); return []; }"
    view.way.change(None, [view.way], js=show, **PRIVATE)
    # The button calls the browser's part, which starts a search only if none runs: Gradio ignores a
    # second click until the first one's work is reported as cancelled.
    view.runs.run.click(None, js="() => { window.dppa.startSearch?.(); return []; }", **PRIVATE)
    running = view.runs.shown.start(
        streaming(view.runs.shown, on_search),
        inputs=controls.inputs | set(view.choices.values()),
        outputs=[view.runs.shown],
        concurrency_id="search",  # its own queue: chats do not wait
        concurrency_limit=1,
        trigger_mode="multiple",
        **queued(view.runs.place),
    )
    running.failure(None, js=activity_script("search", "idle"), **PRIVATE)
    running.failure(None, js=failed_script("search"), **PRIVATE)
    wire_stop("search", view.runs, running)
