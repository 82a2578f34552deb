"""Event handlers that connect the controls to plots and status.

Every handler takes a dict keyed by component, reads one frozen Session from it, and returns a dict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from dppa_core.errors import DppaError, InvalidValue
from dppa_core.recipes.yaml_text import recipe_hash

from ..session.json_form import parsed_keys
from ..session.presets import first_session
from ..views.controls.prune import measuring, with_levels
from ..views.see.see import exact_payload, merged_payload, plots_payload
from ..widgets.browser_parts import pack
from ..widgets.controls import PRIVATE, activity_script, queued
from ..widgets.header import status_value
from ..widgets.runs import streaming
from ..work.error_notices import show_errors
from ..work.studio import Studio
from .layout import LIVE, MEASURE_QUEUE, Page, all_outputs, drawn, moved
from .wiring_models import wire_models, wire_offer
from .wiring_pinned import wire_pinned
from .wiring_tune import opening, wire_tune


def wire(blocks: gr.Blocks, page: Page, studio: Studio) -> None:
    """Set up every event between views."""
    page.controls.tell_browser()
    _wire_exact(page, studio)
    _wire_strength(page, studio)
    _wire_significance(page, studio)
    _wire_method(page, studio)
    _wire_levels(page, studio)
    wire_models(page, studio)
    wire_offer(page, studio)
    wire_tune(page, studio)
    wire_pinned(page, studio)
    _wire_opening(blocks, page, studio)


def _wire_exact(page: Page, studio: Studio) -> None:
    """Send the server's plan once the controls stop moving."""
    controls = page.controls

    @show_errors
    def on_settle(values: dict[Any, Any]) -> dict[Any, Any]:
        try:
            planned = parsed_keys(values[page.see.exact]).get("planned") is True
            value = exact_payload(moved(page, values, studio), studio, planned=planned)
            return {page.see.exact: pack(value)}
        except DppaError as error:
            return {page.see.exact: pack({"trouble": str(error)})}

    page.see.exact.rest(
        on_settle,
        inputs=controls.inputs | {page.see.exact},
        outputs=[page.see.exact],
        preprocess=False,  # a half-typed number is not an error
        **LIVE,
    )

    @show_errors
    def on_partitions(values: dict[Any, Any]) -> dict[Any, Any]:
        session = replace(moved(page, values, studio), shares=())  # split evenly
        return {
            controls.shares: pack(list(session.shares)),
            page.pruning.levels: "",
            page.see.exact: pack(exact_payload(session, studio)),
        }

    controls.partitions.input(
        on_partitions,
        inputs=controls.inputs,
        outputs=[controls.shares, page.pruning.levels, page.see.exact],
        **LIVE,
    )


def _wire_strength(page: Page, studio: Studio) -> None:
    """Strength and outliers change the tables themselves."""
    controls = page.controls

    @show_errors
    def on_strength(values: dict[Any, Any]) -> dict[Any, Any]:
        return {page.see.plots: pack(plots_payload(moved(page, values, studio), studio))}

    gr.on(
        [component.change for component in controls.that_change("tables").values()],
        on_strength,
        inputs=controls.inputs,
        outputs=[page.see.plots],
        preprocess=False,  # raw values: see fast_answers.py
        **LIVE,
    )


def _wire_significance(page: Page, studio: Studio) -> None:
    """Measure a newly chosen score, then draw it; until then nothing changes."""
    controls, choice = page.controls, page.controls.significance

    @show_errors
    def on_significance(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        session = controls.session(values)
        try:
            for step in measuring(session, studio):
                yield {page.see.exact: pack({"measuring": step})}
            yield drawn(page, session, studio, measuring="")
        except DppaError:  # back to a score that needs no text; the notice says why
            plain = replace(session, significance="magnitude")
            yield {choice: plain.significance} | drawn(page, plain, studio, measuring="")
            raise

    choice.input(None, js=activity_script("see", "waiting"), **PRIVATE)
    event = choice.input(
        on_significance,
        inputs=controls.inputs,
        outputs=[choice, page.see.plots, page.see.exact],
        trigger_mode="always_last",
        **MEASURE_QUEUE | queued(page.see.measuring_place),
    )
    event.failure(None, js=activity_script("see", "idle"), **PRIVATE)


def _wire_method(page: Page, studio: Studio) -> None:
    """Redraw for a newly chosen method; some methods show their effect only after a merge."""
    controls, see = page.controls, page.see

    @show_errors
    def on_method(values: dict[Any, Any]) -> dict[Any, Any]:
        try:
            return drawn(page, moved(page, values, studio), studio)
        except DppaError as error:
            return {see.exact: pack({"trouble": str(error)})}

    def on_merge(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        yield {"runs": "merge"}
        yield from merged_payload(controls.session(values), studio)

    controls.method.choose(
        on_method,
        inputs=controls.inputs,
        outputs=[see.plots, see.exact],
        preprocess=False,  # a half-typed number is not an error
        **LIVE,
    )
    see.beforehand.merge(None, js=activity_script("merge", "waiting"), **PRIVATE)
    merging = see.beforehand.merge(
        streaming(see.exact, on_merge),
        inputs=controls.inputs,
        outputs=[see.exact],
        trigger_mode="once",
        **MEASURE_QUEUE | queued(see.merging_place),
    )
    merging.then(None, js=activity_script("merge", "idle"), **PRIVATE)


def _wire_levels(page: Page, studio: Studio) -> None:
    controls, pruning = page.controls, page.pruning
    set_by_text = [controls.rate, controls.partitions, controls.shares]

    @show_errors
    def on_levels(values: dict[Any, Any]) -> dict[Any, Any]:
        session = controls.session(values)
        try:
            session = with_levels(session, values[pruning.levels])
        except InvalidValue as error:  # shown beside the box; everything else stays
            refused = {"text": str(values[pruning.levels] or ""), "problem": str(error)}
            return {pruning.levels_note: pack(refused)}
        updates = controls.show(session)
        return {key: updates[key] for key in set_by_text} | {
            pruning.levels_note: pack(None),
            page.see.exact: pack(exact_payload(session, studio, adopt=True)),
        }

    @show_errors
    def on_dragged(values: dict[Any, Any]) -> dict[Any, Any]:
        session = moved(page, values, studio)
        return {
            controls.partitions: len(session.bands),
            pruning.levels: "",
            page.see.exact: pack(exact_payload(session, studio)),
        }

    controls.shares.settle(
        on_dragged,
        inputs=controls.inputs,
        outputs=[controls.partitions, pruning.levels, page.see.exact],
        **LIVE,
    )
    pruning.levels_note.apply(
        on_levels,
        inputs=controls.inputs | {pruning.levels},
        outputs=[*set_by_text, pruning.levels_note, page.see.exact],
        trigger_mode="always_last",  # text typed while the last one is checked counts too
        **PRIVATE,
    )


def _wire_opening(blocks: gr.Blocks, page: Page, studio: Studio) -> None:
    recipe = first_session().recipe()

    @show_errors
    def on_open(request: gr.Request) -> dict[Any, Any]:
        try:
            return opening(page, request, studio)
        except DppaError as error:
            return {page.see.exact: pack({"trouble": str(error)})}
        finally:
            studio.opened.set()

    def status(merged: str = "") -> str:
        memory = None if studio.public else studio.in_memory()  # of the work of all visitors
        return pack(status_value(ready=studio.ready, merged=merged, memory=memory))

    @show_errors
    def on_tick() -> dict[Any, Any]:
        merged = recipe_hash(recipe) if studio.merged(recipe) else ""
        return {page.status: status(merged), page.timer: gr.Timer(active=not studio.ready)}

    @show_errors
    def on_status() -> dict[Any, Any]:
        return {page.status: status()}

    blocks.load(on_open, None, [*all_outputs(page), page.tune], **LIVE)
    page.status.look(on_status, None, [page.status], **LIVE)
    page.timer.tick(on_tick, None, [page.status, page.timer], **LIVE)
