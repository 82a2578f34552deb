"""Attribution of an answer to layers or modules: its loss without the delta of each.

assets/js/plots/attribution.js draws it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from components.session.answer_settings import LONGEST_PROMPT
from components.session.session import Session
from components.widgets.browser_parts import live, static
from components.widgets.controls import PRIVATE, Controls
from components.widgets.runs import RunView, build_run, wire_run
from components.widgets.theme import domain_colour
from components.work.progress_stream import stream_run
from components.work.question import checked_text
from components.work.studio import Emit, Studio
from dppa_core.errors import InvalidValue, shown
from dppa_core.evaluation.analysis.attribution import CHOICES
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.recent import Recent
from dppa_core.tasks import DOMAINS, example_prompts


@dataclass(frozen=True, slots=True)
class AttributionView:
    """The components of the view."""

    prompt: gr.Textbox
    examples: gr.HTML
    answer: gr.Textbox
    by: gr.Radio
    runs: RunView


def build_attribution() -> AttributionView:
    """The question and its answer, the buttons, the plot."""
    with gr.Column(elem_id="attribution-view", elem_classes=["view", "box"]):
        prompt = gr.Textbox(
            label="Question",
            placeholder="Type a question, or take one below",
            lines=2,
            max_lines=4,
            max_length=LONGEST_PROMPT,
            elem_id="attribution-prompt",
        )
        examples = [
            {"domain": name, "colour": domain_colour(name), "prompt": example_prompts(name)[0]}
            for name in DOMAINS
        ]
        shown = live("attribution-examples", examples, events=("pick",))
        answer = gr.Textbox(
            label="Answer",
            placeholder="Left empty: the merge's own answer",
            lines=1,
            max_lines=4,
            max_length=LONGEST_PROMPT,
            elem_id="attribution-answer",
        )
        static(
            '<p class="how"><output id="attribution-length" aria-live="polite"></output></p>',
            "attribution-hint",
        )
        by = gr.Radio(
            [("one layer at a time", "layer"), ("one module at a time", "module")],
            value="layer",
            label="Take out",
            info="Without its change, the loss of the answer is computed again. Modules take about "
            "seven times as long.",
            elem_id="attribution-by",
        )
        return AttributionView(prompt, shown, answer, by, build_run("attribution", "Measure"))


@dataclass(frozen=True, slots=True)
class AttributionRequest:
    """A checked request."""

    recipe: MergeRecipe
    prompt: str
    answer: str | None
    """None: the merge's own."""
    by: str


def read_inquiry(
    values: Mapping[Any, Any], view: AttributionView, session: Session
) -> AttributionRequest:
    """Check the values of a handler; InvalidValue without a question, or for an unknown choice."""
    prompt = checked_text("question", values[view.prompt])
    answer = checked_text("answer", values[view.answer], least=0)
    by = values[view.by]
    if by not in CHOICES:
        raise InvalidValue(f"Take out one layer or one module at a time, got {shown(by)}.")
    return AttributionRequest(session.recipe(), prompt, answer or None, by)


def measured(
    inquiry: AttributionRequest, studio: Studio, known: Recent, emit: Emit, stop: Stop
) -> dict[str, Any]:
    """Merge if necessary, and measure; runs in its own thread."""
    from dppa_core.evaluation.analysis.attribution_run import attribute  # noqa: PLC0415  (torch)

    if not studio.merged(inquiry.recipe):
        emit((0, 0, "Merging the weights"))
    with studio.lend(inquiry.recipe, None, stop) as resident:
        made_of = tuple(sorted(resident.made_of.items()))
        key = (resident.key, made_of, inquiry.prompt, inquiry.answer, inquiry.by)
        found: dict[str, Any] | None = known.find(key)
        if found is None:
            found = attribute(
                inquiry.recipe,
                resident,
                inquiry.prompt,
                inquiry.answer,
                by=inquiry.by,
                public=studio.public,
                progress=lambda *told: emit(told),
                stop=stop,
            ).to_json()
            known.keep(key, found)
    return found


def wire_attribution(view: AttributionView, controls: Controls, studio: Studio) -> None:
    """Measure, Cancel, and a click on an example."""
    known = Recent(64)

    def on_attribute(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        inquiry = read_inquiry(values, view, controls.session(values))
        return stream_run(
            studio, "attribution", lambda *told: measured(inquiry, studio, known, *told)
        )

    inputs = controls.inputs | {view.prompt, view.answer, view.by}
    wire_run("attribution", view.runs, on_attribute, inputs)
    view.examples.pick(None, None, [view.prompt], js="() => window.dppa.asked", **PRIVATE)
