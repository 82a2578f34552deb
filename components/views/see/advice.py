"""Advice on methods for the chosen models, with its figures, on a button. assets/js/plots/advice.js
draws it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import gradio as gr

from dppa_core.evaluation.tables import percent
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.tuning.advice.advice import TRY_RATE, Advice, ModelDeltaSize, advise
from dppa_core.tuning.advice.facts import PROBE_RATE

from ...session.method_choice import MethodChoice
from ...session.session import Session
from ...session.state import state_of
from ...widgets.browser_parts import static
from ...widgets.controls import Controls
from ...widgets.runs import RunView, build_run, wire_run
from ...work.progress_stream import stream_run
from ...work.studio import Emit, Studio

ITEMS = 64
"""Search items a domain, as `dppa advise` asks them."""
TRIES = {
    ModelDeltaSize.LARGE: (
        ("task_arithmetic", "Task arithmetic", None),
        ("magnitude", "Magnitude", TRY_RATE),
        ("dppa", "DPPA", TRY_RATE),
    ),
    ModelDeltaSize.SMALL: (
        ("dare", "DARE", PROBE_RATE),
        ("task_arithmetic", "Task arithmetic", None),
    ),
    ModelDeltaSize.UNCLEAR: (("task_arithmetic", "Task arithmetic", None),),
}
"""Advised merges: (method, its name, pruning rate)."""


def build_advice() -> RunView:
    """A fold with a description, the buttons, and the result."""
    with gr.Accordion("What should I try?", open=False, elem_id="advice-box"):
        static(
            '<p class="how">Measures whether most changes of each model may be dropped, and '
            f"suggests methods to try: {ITEMS} questions are asked after {percent(PROBE_RATE)} of "
            "the changes were dropped at random (DARE). For a merge by DPPA it looks for signs of "
            "failure too. About 15 s a model.</p>",
            "advice-how",
        )
        return build_run("advice", "Advise")


def advised(session: Session, studio: Studio, emit: Emit, stop: Stop) -> dict[str, Any]:
    """Measure what is not cached, and judge; runs in its own thread."""
    from dppa_core.tuning.advice.run import gather  # noqa: PLC0415  (torch)

    recipe = session.recipe()
    facts = gather(
        *(recipe, studio.examiner()),
        limit=ITEMS,
        public=studio.public,
        progress=lambda done, total, what: emit((done, total, what.replace("zoo:", ""))),
        stop=stop,
    )
    found = advise(facts)
    return {**asdict(found), "recipe": recipe_hash(recipe), "tries": tries(found, session)}


def tries(found: Advice, session: Session) -> list[dict[str, Any]]:
    """The advised merges as states to restore, without the current merge."""
    now = recipe_hash(session.recipe())
    sizes = {one.size for one in found.models}
    advised = [one for size, methods in TRIES.items() if size in sizes for one in methods]
    listed: list[dict[str, Any]] = []
    for method, name, rate in dict.fromkeys(advised):
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


def wire_advice(view: RunView, controls: Controls, studio: Studio) -> None:
    """Advise, and Cancel."""

    def on_advise(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        session = controls.session(values)
        return stream_run(studio, "advice", lambda *told: advised(session, studio, *told))

    wire_run("advice", view, on_advise, controls.inputs, kind="search")
