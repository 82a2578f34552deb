"""All components of the page, and the updates that follow a change of the models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from ..session.session import Session
from ..views.chat.chat import ChatView
from ..views.controls.models import ModelsView
from ..views.controls.prune import AdvancedPruning
from ..views.see.pinned import PinnedView
from ..views.see.see import SeeView, exact_payload, plots_payload
from ..widgets.browser_parts import pack
from ..widgets.controls import PRIVATE, Controls
from ..work.kinds import MODELS
from ..work.question import first_targets, target_choices
from ..work.studio import Studio

MEASURE_QUEUE = MODELS.turns | PRIVATE
LIVE = {"queue": False, "trigger_mode": "always_last", **PRIVATE}
"""Options of events of moving sliders. They skip the queue, so they cannot show a notice: expected
errors appear in the part itself."""


@dataclass(frozen=True, slots=True)
class Page:
    """All components that handlers read or write."""

    controls: Controls
    models: ModelsView
    offer: gr.HTML
    """The card of a set of Hub models."""
    pruning: AdvancedPruning
    see: SeeView
    pinned: PinnedView
    chat: ChatView
    status: gr.HTML
    tune: gr.HTML
    """History, presets, links and recipe files: loading and saving whole sessions."""
    timer: gr.Timer


def moved(page: Page, values: dict[Any, Any], studio: Studio) -> Session:
    """The session after a slider moved. Raises InvalidValue as `Controls.session` does, or if the
    answer would have to measure first."""
    session = page.controls.session(values)
    names = [model.reference for model in session.models]
    studio.check_at_hand(session.base, names, session.ranked_by)
    return session


def drawn(page: Page, session: Session, studio: Studio, **more: Any) -> dict[Any, Any]:
    """The plots and the exact numbers of a session; `more` goes to the numbers."""
    return {
        page.see.plots: pack(plots_payload(session, studio)),
        page.see.exact: pack(exact_payload(session, studio) | more),
    }


def restored(page: Page, session: Session, studio: Studio) -> dict[Any, Any]:
    """As `replaced`, for a restored session: the chat keeps its choice of models."""
    return replaced(page, session, studio) | {
        page.chat.targets: gr.CheckboxGroup(choices=target_choices(session)),
        page.see.exact: pack(exact_payload(session, studio, adopt=True) | {"measuring": ""}),
    }


def replaced(page: Page, session: Session, studio: Studio, look: str = "") -> dict[Any, Any]:
    """The updates after the models or all controls change at once."""
    targets, ticked = target_choices(session), first_targets(session)
    return page.controls.show(session) | {
        page.see.plots: pack(plots_payload(session, studio, adopt=True, look=look)),
        page.see.exact: pack(exact_payload(session, studio, adopt=True)),
        page.chat.targets: gr.CheckboxGroup(choices=targets, value=ticked),
        page.pruning.levels: "",
    }


def sent_once(updates: dict[Any, Any]) -> Iterator[dict[Any, Any]]:
    """The last yields of a handler that changes controls.

    Gradio sends the last yield again when the handler ends, which would undo what a person changed
    in between; here that one changes nothing.
    """
    yield updates
    yield {next(iter(updates)): gr.skip()}


def all_outputs(page: Page) -> list[Component]:
    """Every component that `replaced` writes."""
    return [
        *page.controls.inputs,
        page.see.plots,
        page.see.exact,
        page.chat.targets,
        page.pruning.levels,
    ]
