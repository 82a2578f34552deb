"""Ready tasks of lm-evaluation-harness, by name, for every model of the score.
assets/js/panes/ready-tasks.js draws the tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import gradio as gr

from dppa_core.errors import InvalidValue, NotAllowed, many, shown
from dppa_core.evaluation.lm_eval_harness import Harness
from dppa_core.evaluation.side_by_side import Entrant
from dppa_core.parameter_fields import check_number
from dppa_core.progress import Progress, Stop
from dppa_core.recipes.yaml_text import recipe_hash

from ...session.session import Session
from ...widgets.controls import Controls, slider
from ...widgets.runs import build_run, wire_run
from ...work.kinds import SCORE
from ...work.progress_stream import stream_run
from ...work.question import whole
from ...work.rate_limits import TOKENS_PER_HOUR, Allowance
from ...work.studio import Studio
from ...work.visitor import visitor_of
from .own_questions import REPLY_TOKENS
from .score_values import contestants, model_of

MAX_TASKS, MAX_CHARACTERS = 5, 400
"""Tasks of one run; characters of their names."""
MAX_PUBLIC_ANSWERS = TOKENS_PER_HOUR // REPLY_TOKENS
"""Most tasks × questions × models of one run on a public page: a first run fits the allowance."""
MIN_ITEMS, MAX_PUBLIC_ITEMS, MAX_ITEMS = 5, 60, 1_000
"""Questions of a task: the fewest, which are also the step, and the most on a public page and in
one's own copy."""


@dataclass(frozen=True, slots=True)
class TaskOffer:
    """The tasks that this page asks."""

    names: tuple[str, ...] | None = None
    """All that a public page offers; None for any."""
    folder: Path | None = None
    """Task files in place of the package's."""

    @property
    def names_info(self) -> str:
        """Help on the names, in a sentence or two."""
        if self.names is not None:
            return f"With commas between them. This page offers {', '.join(self.names)}."
        if self.folder is not None:
            return f"Names in {self.folder}, with commas between them."
        return (
            "Names in lm-evaluation-harness, with commas between them. Those of the paper: gsm8k, "
            "fpb, fiqa, casehold. The first run fetches the questions from the Hugging Face Hub."
        )

    @property
    def examples(self) -> tuple[str, ...]:
        """Names that can be typed; none for a folder, whose files are read at the first run."""
        if self.names is not None:
            return self.names[:2]
        return ("arc_easy", "piqa") if self.folder is None else ()

    @property
    def most(self) -> int:
        """Most questions of a task."""
        return MAX_ITEMS if self.names is None else MAX_PUBLIC_ITEMS

    @property
    def number_info(self) -> str:
        """Help on the number of questions, and its limit on a public page."""
        info = "The first ones of each task. More take longer and show smaller differences."
        if self.names is None:
            return info
        return f"{info} Tasks × questions × models may be {MAX_PUBLIC_ANSWERS} at most."


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A checked request: the tasks, their questions, and the models."""

    names: tuple[str, ...]
    limit: int
    """Questions of a task."""
    entrants: tuple[Entrant, ...]
    recipe: str
    """Hash of the merge."""

    @property
    def tokens(self) -> int:
        """Tokens that the request counts as, at the usual length of a reply."""
        return len(self.names) * self.limit * len(self.entrants) * REPLY_TOKENS


def read_tasks(
    text: object, number: Any, slot: object, session: Session, offer: TaskOffer
) -> TaskRequest:
    """Check the values of a handler; `slot` is the slot that is not open.

    Raises:
        InvalidValue: no task, too many, a number of questions out of range, or too many answers
            for a public page.
        NotAllowed: a task that a public page does not offer.
    """
    typed = whole(text) if isinstance(text, str) else ""
    names = tuple(dict.fromkeys(re.findall(r"[^\s,;]+", typed[: MAX_CHARACTERS + 1])))
    if not names:
        example = f", such as {offer.examples[0]}" if offer.examples else ""
        raise InvalidValue(f"There is no task yet: type the name of one{example}.")
    if len(names) > MAX_TASKS or len(typed) > MAX_CHARACTERS:
        raise InvalidValue(
            f"At most {MAX_TASKS} tasks in {MAX_CHARACTERS} characters are asked at once; "
            "`dppa evaluate --lm-eval` asks more."
        )
    for name in names:
        if offer.names is not None and name not in offer.names:
            raise NotAllowed(
                f"This page does not ask the task {shown(name)}; it offers "
                f"{', '.join(offer.names)}. Your own copy asks every task."
            )
    limit = int(check_number("Questions", number, MIN_ITEMS, offer.most))
    request = TaskRequest(names, limit, contestants(session, slot), recipe_hash(session.recipe()))
    if offer.names is not None:
        _check_answers(request)
    return request


def _check_answers(request: TaskRequest) -> None:
    tasks, models = len(request.names), len(request.entrants)
    answers = tasks * request.limit * models
    if answers <= MAX_PUBLIC_ANSWERS:
        return
    fitting = MAX_PUBLIC_ANSWERS // (tasks * models) // MIN_ITEMS * MIN_ITEMS
    raise InvalidValue(
        f"{many(tasks, 'task')} × {request.limit} questions × {models} models are "
        f"{answers} answers, and this page gives {MAX_PUBLIC_ANSWERS} at once. "
        f"Ask at most {fitting} questions{' of each task, or fewer tasks' if tasks > 1 else ''}."
    )


def tasks_value(
    request: TaskRequest, offer: TaskOffer, studio: Studio, progress: Progress, stop: Stop
) -> dict[str, Any]:
    """Ask every model; runs in its own thread."""
    from dppa_core.evaluation.entrant_measurements import harness_rows  # noqa: PLC0415  (torch)

    progress(0, 0, "Looking up the tasks; the first time takes up to a minute")
    harness = Harness(request.names, offer.folder, request.limit, public=studio.public)
    progress(0, 0, "Reading the questions")
    rows = harness_rows(studio.examiner(), request.entrants, harness, progress=progress, stop=stop)
    for row, entrant in zip(rows, request.entrants, strict=True):
        row["model"] = model_of(entrant)
        for result in row["results"]:
            result["value"] = result["value"] if isfinite(result["value"]) else None
    return {"rows": rows, "recipe": request.recipe}


def add_ready_tasks(
    slot: gr.HTML, controls: Controls, studio: Studio, allowance: Allowance, offer: TaskOffer
) -> None:
    """Add a fold: names, number of questions, buttons, tables; the browser puts the slot that is
    not open into `slot`. Adds nothing to a page that offers no task."""
    if offer.names == ():
        return
    with gr.Accordion("Ready tasks", open=False, elem_id="tasks-box"):
        text = gr.Textbox(
            label="Tasks",
            info=offer.names_info,
            placeholder=", ".join(offer.examples),
            max_lines=1,
            max_length=MAX_CHARACTERS,
            elem_id="tasks-text",
        )
        limits = (MIN_ITEMS, offer.most, MIN_ITEMS)
        limit = slider("tasks-limit", limits, 20, "Questions (per task)", offer.number_info)
        runs = build_run("tasks", "Ask all models")

    def on_tasks(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        session = controls.session(values)
        request = read_tasks(values[text], values[limit], values.get(slot), session, offer)
        allowance.spend(visitor_of(None), request.tokens)
        return stream_run(studio, SCORE, partial(tasks_value, request, offer, studio))

    wire_run("tasks", runs, on_tasks, controls.inputs | {text, limit, slot}, SCORE)
