"""What to try for these models: small or large changes, with the figures, on a button.

Knows sessions and the studio's models; how it looks is assets/js/plots/advice.js.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from components.session.json_form import parsed
from components.session.method_choice import MethodChoice
from components.session.session import Session
from components.session.state import state_of
from components.widgets.browser_parts import live, pack, static
from components.widgets.controls import PRIVATE, Controls, activity_script, ended_script, queued
from components.work.error_notices import show_errors
from components.work.progress_stream import IDLE, stopped_value, stream_run
from components.work.studio import Emit, Studio
from dppa_core.evaluation.tables import percent
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.tuning.advice.advice import TRY_RATE, Advice, ModelDeltaSize, advise
from dppa_core.tuning.advice.facts import PROBE_RATE

ITEMS = 64
"""Search items a domain, as `dppa advise` asks them."""
TRIES = {
    ModelDeltaSize.LARGE: (("dppa", "DPPA", TRY_RATE), ("magnitude", "Magnitude", TRY_RATE)),
    ModelDeltaSize.SMALL: (
        ("dare", "DARE", PROBE_RATE),
        ("task_arithmetic", "Task arithmetic", None),
    ),
}
"""What the advice names: (method, its name, pruning rate)."""


@dataclass(frozen=True, slots=True)
class AdviceView:
    """The components of the fold."""

    run: gr.Button
    stop: gr.Button
    place: gr.HTML
    found: gr.HTML


def build_advice() -> AdviceView:
    """A fold: what it asks, the buttons, what was found."""
    with gr.Accordion("What should I try?", open=False, elem_id="advice-box"):
        static(
            f'<p class="how">Measures whether the changes of each model are small or large: its '
            f"own profile, and DARE at {percent(PROBE_RATE)} on {ITEMS} search questions. Where "
            "the merge is by DPPA, its failure signs too. About 15 s for each model.</p>",
            "advice-how",
        )
        with gr.Row(elem_classes="buttons"):
            run = gr.Button("Advise", variant="primary", elem_id="advice-run")
            stop = gr.Button("Cancel", elem_id="advice-stop")
        place = static("", "advice-place")
        found = live("advice", IDLE)
    return AdviceView(run, stop, place, found)


def advised(session: Session, studio: Studio, emit: Emit, stop: Stop) -> dict[str, Any]:
    """Ask whatever was not asked before, and judge; runs in a thread of its own."""
    from dppa_core.tuning.advice.run import gather  # noqa: PLC0415  (torch)

    recipe = session.recipe()
    facts = gather(
        *(recipe, studio.examiner()),
        limit=ITEMS,
        public=studio.public,
        progress=lambda *told: emit(told),
        stop=stop,
    )
    found = advise(facts)
    return {**found.to_json(), "recipe": recipe_hash(recipe), "tries": tries(found, session)}


def tries(found: Advice, session: Session) -> list[dict[str, Any]]:
    """What the advice names, each as a state to go to; what the merge is already is left out."""
    now = recipe_hash(session.recipe())
    sizes = {one.size for one in found.models}
    listed: list[dict[str, Any]] = []
    for size, methods in TRIES.items():
        for method, name, rate in methods if size in sizes else ():
            tried = replace(
                session,
                method=MethodChoice(method),
                rate=session.rate if rate is None else rate,
                overrides=(),
            )
            if recipe_hash(tried.recipe()) != now:
                label = name if rate is None else f"{name} at {percent(rate)}"
                listed.append({"label": label, "take": state_of(tried)})
    return listed


def wire_advice(view: AdviceView, controls: Controls, studio: Studio) -> None:
    """Advise, and Cancel."""

    @show_errors
    def on_advise(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        session = controls.session(values)
        run = stream_run(studio, "advice", lambda *told: advised(session, studio, *told))
        for value in run:
            yield {view.found: pack(value)}

    @show_errors
    def on_advise_stop(values: dict[Any, Any]) -> dict[Any, Any]:
        return {view.found: pack(stopped_value(parsed(values[view.found])))}

    view.run.click(None, js=activity_script("advice", "waiting"), **PRIVATE)
    running = view.run.click(
        on_advise,
        inputs=controls.inputs,
        outputs=[view.found],
        concurrency_id="search",  # by turns with searches, and nobody's chat waits for either
        concurrency_limit=1,
        trigger_mode="always_last",
        **queued(view.place),
    )
    running.failure(None, js=ended_script("advice"), **PRIVATE)
    view.stop.click(None, js=activity_script("advice", "idle"), **PRIVATE)
    view.stop.click(
        on_advise_stop,
        inputs={view.found},
        outputs=[view.found],
        cancels=[running],
        queue=False,
        **PRIVATE,
    )
