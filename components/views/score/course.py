"""The course of a training run: the loss of its checkpoints and of means of the last ones.
Only on one's own copy: it reads a folder that a person names. assets/js/panes/course.js draws it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.sources.references import MAX_REFERENCE_LENGTH, checked_reference
from dppa_core.errors import InvalidValue, NotAllowed
from dppa_core.progress import Progress, Stop
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tuning.training_run import (
    SCHEDULES,
    RunCourse,
    Saved,
    measure_run,
    saved_in,
    weights_of,
)

from ...session.from_recipe import session_from_recipe
from ...session.state import state_of
from ...widgets.controls import PRIVATE
from ...widgets.runs import build_run, wire_run
from ...work.kinds import SEARCH
from ...work.progress_stream import Show, stream_growing
from ...work.question import checked_text
from ...work.studio import Studio
from .perplexity import MAX_TEXT_CHARACTERS

HALF_LIFE = 200


@dataclass(frozen=True, slots=True)
class CourseRequest:
    """A checked request."""

    folder: str
    """As it was typed."""
    run: tuple[Saved, ...]
    text: str
    schedule: str
    half_life: float | None

    @property
    def command(self) -> str:
        """The command that writes a mean as a recipe, up to the number of checkpoints."""
        half_life = f" --half-life {self.half_life:g}" if self.schedule == SCHEDULES[-1] else ""
        weights = f" --weights {self.schedule}{half_life}" if self.schedule != SCHEDULES[0] else ""
        return f"dppa average {self.folder} --out mean.yaml{weights} --last "


def read_course(
    folder: object, text: object, schedule: object, half_life: Any, *, public: bool
) -> CourseRequest:
    """Check the values of a handler.

    Raises:
        NotAllowed: a public page, which looks up no path.
        InvalidValue: no folder, no text, or weights that do not go together.
        MissingCheckpoint: the folder holds no checkpoints, or one is not complete.
    """
    if public:
        raise NotAllowed("This page reads no folders: name a training run in your own copy.")
    if not isinstance(folder, str) or not folder.strip():
        raise InvalidValue("There is no folder yet: type that of a training run.")
    if not isinstance(text, str) or not text.strip():
        raise InvalidValue("There is no text yet: paste or open one that the training did not see.")
    typed = checked_reference(folder, "The folder of a run")
    run = saved_in(Path(typed).expanduser().absolute())
    for saved in run:
        open_checkpoint(str(saved.folder))  # its headers: one that is not complete is named
    checked = checked_text("text", text, most=MAX_TEXT_CHARACTERS)
    request = CourseRequest(typed, run, checked, str(schedule), half_life)
    weights_of(run, request.schedule, half_life)
    return request


def taken_window(
    run: Sequence[Saved], count: int, schedule: str, half_life: float | None
) -> dict[str, Any] | None:
    """The state of the page with the mean of the last `count` checkpoints; None if the page lists
    too few models. The first of them, or the one before a single one, is the base."""
    weights = weights_of(run[-count:], schedule, half_life)
    base, *others = run[-max(count, 2) :]
    if not others:
        return None
    shares = [weight / sum(weights) for weight in weights[-len(others) :]]
    models = tuple(
        DomainModel(str(saved.folder), coefficient=share)
        for saved, share in zip(others, shares, strict=True)
    )
    try:
        return state_of(
            session_from_recipe(MergeRecipe(str(base.folder), models, "task_arithmetic"), 0)
        )
    except InvalidValue:
        return None


def course_value(
    request: CourseRequest, studio: Studio, progress: Progress, show: Show, stop: Stop
) -> dict[str, Any]:
    """Measure every checkpoint and every mean; runs in its own thread."""
    from dppa_core.evaluation.perplexity import perplexity  # noqa: PLC0415  (torch)

    def loss(target: str | MergeRecipe) -> float:
        with studio.lend(target, None, stop) as resident:
            return perplexity(resident, request.text, stop=stop).loss.value

    course = measure_run(
        *(request.run, loss),
        measure="loss of the text, nats per token",
        rises=False,
        schedule=request.schedule,
        half_life=request.half_life,
        progress=lambda count, total, what: progress(count, total, Path(what).name),
        watch=lambda course: show(_result(request, course)),
        stop=stop,
    )
    return _result(request, course)


def _result(request: CourseRequest, course: RunCourse) -> dict[str, Any]:
    weights = (request.schedule, request.half_life)
    takes = [taken_window(request.run, mean.checkpoints, *weights) for mean in course.windows]
    best = course.best.checkpoints if course.windows else 0
    return {
        "chart": asdict(course.chart()),
        "steps": [saved.step for saved in request.run],
        "takes": takes,
        "best": best,
        "command": request.command,
    }


WEIGHTS = {
    "equal": "all alike",
    "linear": "rising with the step",
    "exponential": "halving with age",
}


def _build_course() -> tuple[gr.Textbox, gr.Textbox, gr.Dropdown, gr.Number]:
    """Build the folder, the text, the weights and their half-life."""
    folder = gr.Textbox(
        label="Folder of the run",
        info="With its checkpoints: folders such as checkpoint-500. Only weights are read.",
        placeholder="runs/mine",
        max_lines=1,
        max_length=MAX_REFERENCE_LENGTH,
        elem_id="course-folder",
    )
    text = gr.Textbox(
        label="Text",
        info="One that the training did not see. How well a mean predicts it decides.",
        placeholder="Paste a page or more, or open a file below",
        lines=3,
        max_lines=8,
        max_length=MAX_TEXT_CHARACTERS,
        elem_id="course-text",
    )
    weights = gr.Dropdown(
        [(words, name) for name, words in WEIGHTS.items()],
        value="equal",
        label="Weights in a mean",
        elem_id="course-weights",
    )
    half_life = gr.Number(
        value=HALF_LIFE,
        minimum=1,
        label="Half-life (steps)",
        info="Of two checkpoints so many steps apart the older one counts half.",
        elem_id="course-half-life",
    )
    return folder, text, weights, half_life


def add_course(studio: Studio) -> None:
    """Add a fold: folder, text, weights, buttons, plot. Adds nothing to a public page."""
    if studio.public:
        return
    with gr.Accordion("A training run", open=False, elem_id="course-box"):
        fields = _build_course()
        runs = build_run("course", "Measure")
    show = "(name) => { document.body.dataset.weights = name; return []; }"
    fields[2].change(None, [fields[2]], js=show, **PRIVATE)

    def on_course(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        request = read_course(*(values[field] for field in fields), public=studio.public)
        return stream_growing(studio, SEARCH, partial(course_value, request, studio))

    wire_run("course", runs, on_course, set(fields), SEARCH)
