"""Attribution of an answer to layers or modules: its loss without the delta of each.
assets/js/plots/attribution.js draws it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from dppa_core.errors import InvalidValue, shown
from dppa_core.evaluation.analysis.attribution import CHOICES
from dppa_core.models.reply import MAX_PROMPT_CHARS
from dppa_core.progress import Progress, Stop
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.recent import Recent
from dppa_core.tasks import DOMAINS, example_prompts

from ...session.session import Session
from ...widgets.browser_parts import live, static
from ...widgets.controls import PRIVATE, Controls
from ...widgets.runs import build_run, wire_run
from ...widgets.theme import domain_colour
from ...work.kinds import ATTRIBUTION
from ...work.progress_stream import stream_run
from ...work.question import checked_text
from ...work.studio import Studio


@dataclass(frozen=True, slots=True)
class AttributionRequest:
    """A checked request."""

    recipe: MergeRecipe
    prompt: str
    answer: str | None
    """None: the merge's own."""
    by: str
    """layer or module."""


def read_attribution(
    prompt: object, answer: object, by: Any, session: Session
) -> AttributionRequest:
    """Check the values of a handler; InvalidValue without a question, or for an unknown choice."""
    question = checked_text("question", prompt)
    reference = checked_text("answer", answer, least=0)
    if by not in CHOICES:
        raise InvalidValue(f"Take out one layer or one module at a time, got {shown(by)}.")
    return AttributionRequest(session.recipe(), question, reference or None, by)


def attribution_value(
    request: AttributionRequest, studio: Studio, cache: Recent, progress: Progress, stop: Stop
) -> dict[str, Any]:
    """Merge if necessary, and measure; runs in its own thread."""
    from dppa_core.evaluation.analysis.attribution_run import attribute  # noqa: PLC0415  (torch)

    if not studio.merged(request.recipe):
        progress(0, 0, "Merging the weights")
    with studio.lend(request.recipe, None, stop) as resident:
        made_of = tuple(sorted(resident.made_of.items()))
        key = (resident.key, made_of, request.prompt, request.answer, request.by)
        value: dict[str, Any] | None = cache.find(key)
        if value is None:
            result = attribute(
                *(request.recipe, resident, request.prompt, request.answer),
                by=request.by,
                public=studio.public,
                progress=progress,
                stop=stop,
            )
            value = cache.keep(key, result.to_json())
    return value


def add_attribution(controls: Controls, studio: Studio) -> None:
    """Add the question and its answer, the buttons, the plot."""
    cache = Recent(64)
    with gr.Column(elem_id="attribution-view", elem_classes=["view", "box"]):
        prompt, answer, by = _build_fields()
        runs = build_run("attribution", "Measure")

    def on_attribute(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        session = controls.session(values)
        request = read_attribution(values[prompt], values[answer], values[by], session)
        return stream_run(studio, ATTRIBUTION, partial(attribution_value, request, studio, cache))

    wire_run("attribution", runs, on_attribute, controls.inputs | {prompt, answer, by}, ATTRIBUTION)


def _build_fields() -> tuple[gr.Textbox, gr.Textbox, gr.Radio]:
    """Build question, answer and the kind of part; a click on an example sets the question."""
    prompt = gr.Textbox(
        label="Question",
        placeholder="Type a question, or take one below",
        lines=2,
        max_lines=4,
        max_length=MAX_PROMPT_CHARS,
        elem_id="attribution-prompt",
    )
    rows = [
        {"domain": name, "colour": domain_colour(name), "prompt": example_prompts(name)[0]}
        for name in DOMAINS
    ]
    examples = live("attribution-examples", rows, events=("pick",))
    examples.pick(None, None, [prompt], js="() => window.dppa.asked", **PRIVATE)
    answer = gr.Textbox(
        label="Answer",
        placeholder="Left empty: the merge's own answer",
        lines=1,
        max_lines=4,
        max_length=MAX_PROMPT_CHARS,
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
    return prompt, answer, by
