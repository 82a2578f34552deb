"""The plots and the line of exact numbers under them.

Knows sessions and the studio's plans; the drawing is done in the browser (assets/plots.js).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from components.figures import exact_value, plots_value, short_name
from components.live import live
from components.session import Session
from components.studio import Studio
from components.theme import BASE_COLOUR, model_colours
from dppa_core.errors import InvalidValue
from dppa_core.recipe import recipe_hash

SKELETON = (
    '<div class="skeleton" role="status" aria-label="The plots are being prepared">'
    + "<i></i>" * 3
    + "</div>"
)


@dataclass(frozen=True, slots=True)
class SeeView:
    """The components of the middle column."""

    plots: gr.HTML
    exact: gr.HTML


def build_see() -> SeeView:
    """Three plots, and the numbers of the server's exact plan."""
    plots = live("plots", None, skeleton=SKELETON)
    exact = live("exact", None, events=("rest",), skeleton='<p class="numbers">&nbsp;</p>')
    return SeeView(plots, exact)


def plots_payload(
    session: Session, studio: Studio, *, adopt: bool = False, look: str = ""
) -> dict[str, Any]:
    """Tables of every model in the list, with their names and colours.

    Args:
        adopt: Whether the browser takes the settings over (a preset), or keeps its own.
        look: The model to draw from now on; empty for the one that is drawn.
    """
    references = tuple(model.reference for model in session.models)
    tables = {name: studio.table(session.base, name, session.parameters) for name in references}
    names = {
        name: {"label": short_name(name), "colour": colour}
        for name, colour in model_colours(references).items()
    }
    names[session.base] = {"label": short_name(session.base), "colour": BASE_COLOUR}
    return {**plots_value(tables, session), "names": names, "adopt": adopt, "look": look}


def exact_payload(session: Session, studio: Studio, *, adopt: bool = False) -> dict[str, Any]:
    """The exact plan of every model in the list, and the hash of the recipe they make."""
    plans = {
        model.reference: studio.plan(
            session.base, model.reference, session.levels, session.parameters
        )
        for model in session.models
    }
    try:
        recipe, problem = session.recipe(), ""
    except InvalidValue as error:
        return {**exact_value(session, plans, "", str(error)), "merged": False, "adopt": adopt}
    value = exact_value(session, plans, recipe_hash(recipe), problem)
    return {**value, "merged": studio.merged(recipe), "adopt": adopt}
