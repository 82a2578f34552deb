"""The score: test accuracy per domain of base, domain models and merge, on a button.

Knows sessions and the studio's scores; how the table looks is assets/score.js.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from components.figures import short_name
from components.forms import PRIVATE, Controls, activity_script
from components.live import live, pack
from components.notices import message, show_errors
from components.session import Session, parsed
from components.studio import Emit, Studio
from components.tables import Row, Scored, retention_sentence, score_value
from dppa_core.errors import Cancelled
from dppa_core.parameters import check_number
from dppa_core.progress import Stop
from dppa_core.recipe import MergeRecipe, recipe_hash
from dppa_core.tasks import DOMAINS

MOST_ITEMS = 400
Known = dict[tuple[str, str], Scored]


@dataclass(frozen=True, slots=True)
class ScoreView:
    """The components of the score."""

    limit: gr.Slider
    run: gr.Button
    stop: gr.Button
    table: gr.HTML


def build_score() -> ScoreView:
    """How many questions, the button, the table."""
    limit = gr.Slider(
        4,
        MOST_ITEMS,
        value=20,
        step=4,
        label="Questions (per domain)",
        info="In fours, 4 to 400. More take longer and narrow the interval: 20 give about "
        "±20 points, 400 about ±5.",
        elem_id="score-limit",
        buttons=[],
    )
    with gr.Row(elem_classes="buttons"):
        run = gr.Button("Score all models", variant="primary", elem_id="score-run")
        stop = gr.Button("Stop", elem_id="score-stop")
    table = live("score", score_value((), DOMAINS, {}, "idle", 0))
    return ScoreView(limit, run, stop, table)


@dataclass(frozen=True, slots=True)
class Exam:
    """What is to be scored, checked."""

    rows: tuple[Row, ...]
    targets: Mapping[str, str | MergeRecipe]
    limit: int
    base: str
    id: str

    @property
    def total(self) -> int:
        """Questions in all."""
        return len(self.rows) * len(DOMAINS) * self.limit


def read_exam(values: Mapping[Any, Any], view: ScoreView, session: Session) -> Exam:
    """Check what a handler was given: the merge first, then who it is compared with."""
    limit = int(check_number("Questions", values[view.limit], 4, MOST_ITEMS))
    recipe = session.recipe()
    singles = (*(model.reference for model in session.active), session.base)
    rows = (
        Row("merged", "merged", recipe_hash(recipe)),
        *(Row(name, short_name(name)) for name in singles),
    )
    targets: dict[str, str | MergeRecipe] = {"merged": recipe, **{name: name for name in singles}}
    return Exam(rows, targets, limit, session.base, secrets.token_hex(4))


def exam_events(exam: Exam, studio: Studio, emit: Emit, stop: Stop) -> None:
    """Score every model on every domain; runs in a thread of its own."""
    done = 0
    for row in exam.rows:
        for domain in DOMAINS:
            what = f"{row.label} on {domain}"
            before = done

            def tell(
                count: int, _total: int, _what: str, what: str = what, at: int = before
            ) -> None:
                emit(("progress", at + count, what))

            emit(("progress", before, what))
            score = studio.score(exam.targets[row.target], domain, exam.limit, tell, stop)
            done += exam.limit
            emit(("score", row.target, domain, score))
            emit(("progress", done, what))


def stream_exam(exam: Exam, studio: Studio) -> Iterator[dict[str, Any]]:
    """Yield the table as it fills, a few times a second; cached scores are there at once."""
    scores: Known = {}
    done, what = 0, "starting"
    yield exam_value(exam, scores, "running", done, what)
    job = studio.start(lambda emit, stop: exam_events(exam, studio, emit, stop))
    shown = time.monotonic()
    for batch in job.batches(every=0.25):
        for event in batch:
            if event[0] == "score":
                scores[event[1], event[2]] = event[3]
            else:
                done, what = event[1], event[2]
        if batch or time.monotonic() - shown > 2:
            shown = time.monotonic()
            yield exam_value(exam, scores, "running", done, what)
    if job.error is None:
        yield exam_value(exam, scores, "done", exam.total, "")
    elif isinstance(job.error, Cancelled):
        yield exam_value(exam, scores, "stopped", done, "")
    else:
        yield exam_value(exam, scores, "failed", done, "", message(job.error))


def exam_value(
    exam: Exam, scores: Known, state: str, done: int, what: str, note: str = ""
) -> dict[str, Any]:
    """What the browser shows of an exam."""
    value = score_value(exam.rows, DOMAINS, scores, state, exam.limit)
    sentence = retention_sentence(exam.rows, DOMAINS, scores, exam.base)
    progress = {"id": exam.id, "done": done, "total": exam.total, "what": what}
    return {**value, **progress, "note": note, "sentence": sentence if state == "done" else ""}


def stopped_value(value: object) -> dict[str, Any]:
    """The table after Stop: what was finished stays."""
    rows = value.get("rows") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(rows, list):
        return score_value((), DOMAINS, {}, "stopped", 0)
    return {**value, "state": "stopped", "note": "", "sentence": ""}


def wire_score(view: ScoreView, controls: Controls, studio: Studio) -> None:
    """Run and Stop."""

    @show_errors
    def on_score(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        exam = read_exam(values, view, controls.session(values))
        for value in stream_exam(exam, studio):
            yield {view.table: pack(value)}

    @show_errors
    def on_stop(values: dict[Any, Any]) -> dict[Any, Any]:
        return {view.table: pack(stopped_value(parsed(values[view.table])))}

    view.run.click(None, js=activity_script("score", "waiting"), **PRIVATE)
    scoring = view.run.click(
        on_score,
        inputs=controls.inputs | {view.limit},
        outputs=[view.table],
        concurrency_id="model",
        concurrency_limit=1,
        trigger_mode="once",
        **PRIVATE,
    )
    scoring.failure(None, js=activity_script("score", "idle"), **PRIVATE)
    view.stop.click(
        on_stop,
        inputs={view.table},
        outputs=[view.table],
        cancels=[scoring],
        queue=False,
        **PRIVATE,
    )
