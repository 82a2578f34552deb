"""Perplexity of a visitor's text for every model of the score, on a button.
assets/js/panes/perplexity.js draws the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.side_by_side import Entrant
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash

from ...session.session import Session
from ...widgets.controls import Controls
from ...widgets.runs import build_run, wire_run
from ...work.progress_stream import stream_run
from ...work.question import checked_text
from ...work.studio import Emit, Studio
from .score_values import contestants

LONGEST_TEXT = 20_000
WINDOW = 512


@dataclass(frozen=True, slots=True)
class PerplexityRequest:
    """A checked request: the text, and the models."""

    text: str
    who: tuple[Entrant, ...]
    recipe: str
    """Hash of the merge."""


def read_reading(text: object, other: object, session: Session) -> PerplexityRequest:
    """Check the values of a handler; `other` is the slot that is not shown. Raises InvalidValue."""
    if not isinstance(text, str) or not text.strip():
        raise InvalidValue("There is no text yet: type or paste one.")
    checked = checked_text("text", text, most=LONGEST_TEXT)
    return PerplexityRequest(checked, contestants(session, other), recipe_hash(session.recipe()))


def measured(reading: PerplexityRequest, studio: Studio, emit: Emit, stop: Stop) -> dict[str, Any]:
    """Measure every model on the text; runs in its own thread."""
    from dppa_core.evaluation.entrant_measurements import text_rows  # noqa: PLC0415  (torch)

    rows = text_rows(
        studio.examiner(),
        reading.who,
        reading.text,
        window=WINDOW,
        stride=None,
        progress=lambda done, total, what: emit((done, total, f"{what} reads")),
        stop=stop,
    )
    for row, one in zip(rows, reading.who, strict=True):
        merge = isinstance(one.target, MergeRecipe)
        row["model"] = None if merge else one.target
    return {"rows": rows, "recipe": reading.recipe}


def add_perplexity(other: gr.HTML, controls: Controls, studio: Studio) -> None:
    """A fold: the text, the buttons, the table; the browser puts the slot that is not shown into
    `other`."""
    with gr.Accordion("Perplexity of a text", open=False, elem_id="perplexity-box"):
        text = gr.Textbox(
            label="Text",
            info="How well each model predicts your text; lower is better. It needs no questions, "
            "so it works for models of any domain. Use a page or more.",
            placeholder="Paste a text of your domain, or open a file below",
            lines=4,
            max_lines=10,
            max_length=LONGEST_TEXT,
            elem_id="perplexity-text",
        )
        runs = build_run("perplexity", "Measure")

    def on_measure(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        reading = read_reading(values[text], values.get(other), controls.session(values))
        return stream_run(studio, "perplexity", lambda *told: measured(reading, studio, *told))

    wire_run("perplexity", runs, on_measure, controls.inputs | {text, other})
