"""Event handlers for changes of the models: presets, sets of Hub models, added models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from dppa_core.checkpoints.sources.references import whole_model
from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.preflight_checks.preflight_report import PreflightReport

from ..session.forms import on_base
from ..session.json_form import parsed_keys
from ..session.presets import fetched_session, find_fetchable_set, presets
from ..session.session import Session
from ..views.controls.hub_offer import Offer, checked_value, offer_value, read_offer, stream_fetch
from ..views.controls.models import (
    findings_value,
    first_blocker,
    is_local,
    local_reference,
    named_references,
    opened_findings,
    preflight_report,
    preset_session,
    with_base,
    with_models,
    with_more_models,
)
from ..views.controls.prune import measuring
from ..widgets.browser_parts import pack
from ..widgets.controls import PRIVATE, activity_script, failed_script, queued
from ..work.error_notices import show_errors
from ..work.figures import whole_json
from ..work.kinds import DOWNLOADS
from ..work.question import target_choices
from ..work.studio import Studio
from .layout import MEASURE_QUEUE, Page, all_outputs, drawn, replaced, sent_once

FETCH_QUEUE = DOWNLOADS.turns | PRIVATE
"""Checks and downloads share one queue; chats do not wait for it."""


def wire_models(page: Page, studio: Studio) -> None:
    """Wire presets, Remove, and typed models."""
    controls, view = page.controls, page.models

    @show_errors
    def on_preset(values: dict[Any, Any]) -> dict[Any, Any]:
        title = parsed_keys(values[view.preset]).get("chosen")
        offer = None if studio.public or title in presets() else find_fetchable_set(title)
        if offer is not None:
            return {page.offer: pack(offer_value(Offer(offer.references, offer)))}
        session = preset_session(title)
        cleared = {page.offer: pack(None), view.findings: pack(None)}
        if find_fetchable_set(title):  # fetched since the page opened: its list lacks the values
            cleared[view.preset] = pack(_whole(str(title), session))
        return replaced(page, session, studio) | cleared

    @show_errors
    def on_removed(values: dict[Any, Any]) -> dict[Any, Any]:
        session = controls.session(values)
        answering = gr.CheckboxGroup(choices=target_choices(session))
        return drawn(page, session, studio) | {page.chat.targets: answering}

    outputs = [*all_outputs(page), view.findings, page.offer, view.preset]
    _wire_forms(page, studio)
    view.preset.choose(on_preset, inputs={view.preset}, outputs=outputs, **PRIVATE)
    _wire_adding(page, studio)
    outputs = [page.see.plots, page.see.exact, page.chat.targets]
    controls.models.remove(on_removed, inputs=controls.inputs, outputs=outputs, **PRIVATE)


def _wire_forms(page: Page, studio: Studio) -> None:
    """Measure what a newly chosen form keeps, then draw it."""
    controls, see = page.controls, page.see

    @show_errors
    def on_kept(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        session = controls.session(values)
        for step in measuring(session, studio):
            yield {see.exact: pack({"measuring": step})}
        choices, ticked = target_choices(session), set(map(whole_model, values[page.chat.targets]))
        value = [name for _, name in choices if whole_model(name) in ticked]
        answering = gr.CheckboxGroup(choices=choices, value=value)
        yield drawn(page, session, studio, measuring="") | {page.chat.targets: answering}

    event = controls.models.keep(
        on_kept,
        inputs=controls.inputs | {page.chat.targets},
        outputs=[see.plots, see.exact, page.chat.targets],
        trigger_mode="always_last",
        **MEASURE_QUEUE | queued(see.measuring_place),
    )
    event.failure(None, js=activity_script("see", "idle"), **PRIVATE)


def _wire_adding(page: Page, studio: Studio) -> None:
    controls, view = page.controls, page.models

    @show_errors
    def on_use(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        yield {view.findings: pack(None)}  # those of the last click
        session = controls.session(values)
        base, models = named_references(values[view.base], values[view.reference])
        if not base:
            with_more_models(session, models)  # refused before anything is looked up
        models = models or tuple(
            on_base(model.reference, base or session.base) for model in session.models
        )
        names = (base or session.base, *models)
        report = preflight_report(names[0], models, studio)
        yield from _show_preflight(page, report)
        if report is not None and not all(is_local(name, studio) for name in names):
            card = offer_value(Offer(names, new_base=bool(base)), report=report)
            yield from sent_once({page.offer: pack(card), view.findings: pack(None)})
            return
        exact = tuple(local_reference(name, studio) for name in names)
        yield from sent_once(_with_typed(page, session, bool(base), exact, studio, report))

    inputs: set[Any] = controls.inputs | {view.base, view.reference}
    outputs = [*all_outputs(page), view.findings, page.offer]
    event = view.use.click(on_use, inputs=inputs, outputs=outputs, **MEASURE_QUEUE)
    event.failure(None, js=failed_script("adding"), **PRIVATE)


def _with_typed(
    page: Page,
    session: Session,
    new_base: bool,
    references: tuple[str, ...],
    studio: Studio,
    report: PreflightReport | None = None,
) -> dict[Any, Any]:
    """The updates that use typed models, the base first; the first domain model is drawn."""
    base, *models = references
    if new_base:
        session = with_base(session, base, models, studio)
    else:
        session = with_models(session, models, studio)
    findings = opened_findings(report, base, models, studio)
    return replaced(page, session, studio, look=models[0]) | {
        page.models.findings: pack(findings),
        page.offer: pack(None),
    }


def _show_preflight(page: Page, report: PreflightReport | None) -> Iterator[dict[Any, Any]]:
    """Show the findings of the preflight; IncompatibleCheckpoints if one is a blocker."""
    if report is None:
        return
    head = "Not added: a check failed." if report.blockers else "Measuring …"
    yield {page.models.findings: pack(findings_value(report.findings, head))}
    if report.blockers:
        raise IncompatibleCheckpoints(first_blocker(report.blockers))


def wire_offer(page: Page, studio: Studio) -> None:
    """Wire Check, Fetch and Stop of the card of models to fetch."""
    card = page.offer

    @show_errors
    def on_check(values: dict[Any, Any]) -> dict[Any, Any]:
        return {card: pack(checked_value(read_offer(values, card, studio)))}

    @show_errors
    def on_fetch(values: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
        offer = read_offer(values, card, studio)
        session = page.controls.session(values)
        for value, references in stream_fetch(offer, studio):
            if not references:
                yield {card: pack(value)}
            elif offer.preset is None:
                yield from sent_once(_with_typed(page, session, offer.new_base, references, studio))
            else:
                yield from sent_once(_with_set(page, offer.preset.title, references, studio))

    @show_errors
    def on_stop_fetching(values: dict[Any, Any]) -> dict[Any, Any]:
        return {card: pack(offer_value(read_offer(values, card, studio), "stopped"))}

    checking = card.check(on_check, inputs={card}, outputs=[card], **FETCH_QUEUE)
    fetching = card.fetch(
        on_fetch,
        inputs=page.controls.inputs | {card},
        outputs=[*all_outputs(page), page.models.preset, page.models.findings, card],
        trigger_mode="once",
        **FETCH_QUEUE,
    )
    for event in (checking, fetching):
        event.failure(None, js="() => { window.dppa.offerRests(); return []; }", **PRIVATE)
    ending = {"cancels": [fetching], "queue": False, **PRIVATE}
    card.stop(on_stop_fetching, inputs={card}, outputs=[card], **ending)


def _whole(title: str, session: Session) -> dict[str, Any]:
    """The value of the list of presets after a choice, with all settings of the chosen one."""
    return {"chosen": title, "wholes": {title: whole_json(session)}}


def _with_set(
    page: Page, title: str, references: tuple[str, ...], studio: Studio
) -> dict[Any, Any]:
    """The updates after the models of a set were downloaded."""
    session = fetched_session(title, references)
    findings = opened_findings(None, references[0], references[1:], studio)
    return replaced(page, session, studio, look=references[1]) | {
        page.models.preset: pack(_whole(title, session)),
        page.models.findings: pack(findings),
        page.offer: pack(None),
    }
