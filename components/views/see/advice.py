"""Advice on methods for the chosen models, on a button; assets/js/plots/advice.js draws it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from dppa_core.charts.tables import percent
from dppa_core.methods.registry import METHODS
from dppa_core.methods.shared.contract import GROUPS
from dppa_core.progress import Progress, Stop
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.tuning.advice.advice import TRY_RATE, Advice, ModelDeltaSize, advise
from dppa_core.tuning.advice.facts import PROBE_RATE

from ...session.method_choice import MethodChoice
from ...session.session import Session
from ...session.state import state_of
from ...widgets.browser_parts import static
from ...widgets.controls import Controls
from ...widgets.runs import RunView, build_run, wire_run
from ...work.kinds import ADVICE
from ...work.progress_stream import stream_run
from ...work.studio import Studio

ITEMS_PER_DOMAIN = 64
"""Search items, as `dppa advise` asks them."""
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
    """Build a fold with a description, the buttons, and the result."""
    with gr.Accordion("What should I try?", open=False, elem_id="advice-box"):
        static(
            '<p class="how">Measures whether most changes of each model may be dropped, and '
            f"suggests methods to try: {ITEMS_PER_DOMAIN} questions are asked after "
            f"{percent(PROBE_RATE)} of the changes were dropped at random (DARE). For a merge by "
            "DPPA it looks for signs of failure too. About 15 s a model.</p>",
            "advice-how",
        )
        view = build_run("advice", "Advise")
        static(_homes(), "advice-homes")
        return view


def _homes() -> str:
    """When each method is worth a try, by their ideas."""
    texts = []
    for group, title in GROUPS.items():
        lines = [f"{method.title}: {method.home}" for method in METHODS if method.group == group]
        listed = "<br>".join(map(escape, lines))
        texts.append(f'<p class="how"><b>{title}</b><br>{listed}</p>')
    return "".join(texts).replace(" %", "\u202f%")


def advice_value(
    session: Session, studio: Studio, progress: Progress, stop: Stop
) -> dict[str, Any]:
    """Measure the facts that are not cached, and advise; runs in its own thread."""
    from dppa_core.tuning.advice.gather_facts import gather  # noqa: PLC0415  (torch)

    recipe = session.recipe()
    facts = gather(
        *(recipe, studio.examiner()),
        limit=ITEMS_PER_DOMAIN,
        public=studio.public,
        progress=lambda count, total, item: progress(count, total, item.replace("zoo:", "")),
        stop=stop,
    )
    advice = advise(facts)
    return {**asdict(advice), "recipe": recipe_hash(recipe), "tries": tries(advice, session)}


def tries(advice: Advice, session: Session) -> list[dict[str, Any]]:
    """The advised merges as states to restore, without the current merge."""
    now = recipe_hash(session.recipe())
    sizes = {model.size for model in advice.models}
    methods = [method for size in TRIES if size in sizes for method in TRIES[size]]
    states: list[dict[str, Any]] = []
    for method, name, rate in dict.fromkeys(methods):
        tried = replace(
            session,
            method=MethodChoice(method),
            rate=session.rate if rate is None else rate,
            overrides=(),
        )
        if recipe_hash(tried.recipe()) != now:
            label = name if rate is None else f"{name} at {percent(rate)}"
            states.append({"label": label, "take": state_of(tried)})
    return states


def wire_advice(view: RunView, controls: Controls, studio: Studio) -> None:
    """Wire the buttons Advise and Cancel."""

    def on_advise(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        return stream_run(studio, ADVICE, partial(advice_value, controls.session(values), studio))

    wire_run("advice", view, on_advise, controls.inputs, ADVICE)
