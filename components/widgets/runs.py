"""A run button, a cancel button and a result, the same in every view."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any

import gradio as gr

from ..session.json_form import parsed
from ..work.error_notices import show_errors
from ..work.kinds import Kind, Queue
from ..work.progress_stream import IDLE, stopped_value
from .browser_parts import live, pack, static
from .controls import PRIVATE, activity_script, ended_script, queued

Handler = Callable[[dict[Any, Any]], Iterable[dict[str, Any]]]
"""Checks the values of the controls, then yields the values shown while it runs."""

Stopped = Callable[[object], dict[str, Any]]
"""The value after a cancel, from the value before it."""


@dataclass(frozen=True, slots=True)
class RunView:
    """The components of a run."""

    run: gr.Button
    stop: gr.Button
    place: gr.HTML
    """Hidden: the visitor's position in the queue."""
    part: gr.HTML
    """Progress and result of the run."""


def build_run(
    name: str, label: str, stop: str = "Cancel", *, value: Any = IDLE, events: tuple[str, ...] = ()
) -> RunView:
    """Two buttons beside each other, and below them the part drawn by the script of that name."""
    with gr.Row(elem_classes="buttons"):
        run = gr.Button(label, variant="primary", elem_id=f"{name}-run")
        end = gr.Button(stop, elem_id=f"{name}-stop")
    return RunView(run, end, static("", f"{name}-place"), live(name, value, events=events))


def streaming(part: gr.HTML, handler: Handler) -> Callable[[dict[Any, Any]], Iterator[Any]]:
    """A handler, under its own name, that shows its values in turn; empty ones are skipped."""

    @wraps(handler)
    def stream(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        for value in handler(values):
            yield {part: pack(value) if value else gr.skip()}

    return show_errors(stream)


def wire_part(part: gr.HTML, event: Any, handler: Handler, inputs: set[Any], queue: Queue) -> None:
    """Answer an `event` of a part with a handler's values."""
    request = event(
        streaming(part, handler),
        inputs=inputs,
        outputs=[part],
        trigger_mode="always_last",
        preprocess=False,  # a half-typed number is not an error
        **queue.turns,
        **PRIVATE,
    )
    request.failure(None, js=activity_script(str(part.elem_id), "idle"), **PRIVATE)


def wire_run(
    name: str,
    view: RunView,
    handler: Handler,
    inputs: set[Any],
    kind: Kind,
    *,
    stopped: Stopped = stopped_value,
) -> None:
    """Wire Run and Cancel of a part; `stopped` is the value after a cancel."""
    view.run.click(None, js=activity_script(name, "waiting"), **PRIVATE)
    running = view.run.click(
        streaming(view.part, handler),
        inputs=inputs,
        outputs=[view.part],
        **kind.turns,
        trigger_mode="always_last",
        **queued(view.place),
    )
    running.failure(None, js=ended_script(name), **PRIVATE)
    wire_stop(name, view, running, stopped)


def wire_stop(name: str, view: RunView, running: Any, stopped: Stopped = stopped_value) -> None:
    """Wire the cancel button of a run; the shown value stays."""

    @show_errors
    def on_cancel(values: dict[Any, Any]) -> dict[Any, Any]:
        return {view.part: pack(stopped(parsed(values[view.part])))}

    view.stop.click(None, js=activity_script(name, "idle"), **PRIVATE)
    view.stop.click(
        on_cancel,
        inputs={view.part},
        outputs=[view.part],
        cancels=[running],
        queue=False,
        **PRIVATE,
    )
