"""Perplexity of a visitor's text for every model of the score, on a button.
assets/js/panes/perplexity.js draws the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.side_by_side import Entrant
from dppa_core.progress import Progress, Stop
from dppa_core.recipes.yaml_text import recipe_hash

from ...session.session import Session
from ...widgets.controls import Controls
from ...widgets.runs import build_run, wire_run
from ...work.kinds import PERPLEXITY
from ...work.progress_stream import stream_run
from ...work.question import checked_text
from ...work.studio import Studio
from .score_values import contestants, model_of

MAX_TEXT_CHARACTERS = 20_000
WINDOW_TOKENS = 512


@dataclass(frozen=True, slots=True)
class PerplexityRequest:
    """A checked request: the text, and the models."""

    text: str
    entrants: tuple[Entrant, ...]
    recipe: str
    """Hash of the merge."""


def read_perplexity(text: object, slot: object, session: Session) -> PerplexityRequest:
    """Check the values of a handler; `slot` is the slot that is not open. Raises InvalidValue."""
    if not isinstance(text, str) or not text.strip():
        raise InvalidValue("There is no text yet: type or paste one.")
    checked = checked_text("text", text, most=MAX_TEXT_CHARACTERS)
    return PerplexityRequest(checked, contestants(session, slot), recipe_hash(session.recipe()))


def perplexity_value(
    request: PerplexityRequest, studio: Studio, progress: Progress, stop: Stop
) -> dict[str, Any]:
    """Measure every model on the text; runs in its own thread."""
    from dppa_core.evaluation.entrant_measurements import text_rows  # noqa: PLC0415  (torch)

    rows = text_rows(
        *(studio.examiner(), request.entrants, request.text),
        window=WINDOW_TOKENS,
        stride=None,
        progress=lambda count, total, model: progress(count, total, f"{model} reads"),
        stop=stop,
    )
    for row, entrant in zip(rows, request.entrants, strict=True):
        row["model"] = model_of(entrant)
    return {"rows": rows, "recipe": request.recipe}


def add_perplexity(slot: gr.HTML, controls: Controls, studio: Studio) -> None:
    """Add a fold: text, buttons, table; the browser puts the slot that is not open into `slot`."""
    with gr.Accordion("Perplexity of a text", open=False, elem_id="perplexity-box"):
        text = gr.Textbox(
            label="Text",
            info="How well each model predicts your text; lower is better. It needs no questions, "
            "so it works for models of any domain. Use a page or more.",
            placeholder="Paste a text of your domain, or open a file below",
            lines=4,
            max_lines=10,
            max_length=MAX_TEXT_CHARACTERS,
            elem_id="perplexity-text",
        )
        runs = build_run("perplexity", "Measure")

    def on_measure(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        request = read_perplexity(values[text], values.get(slot), controls.session(values))
        return stream_run(studio, PERPLEXITY, partial(perplexity_value, request, studio))

    wire_run("perplexity", runs, on_measure, controls.inputs | {text, slot}, PERPLEXITY)
