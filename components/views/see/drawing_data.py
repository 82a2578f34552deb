"""What the plots of a session are drawn with. Shared by the views of the middle column."""

from __future__ import annotations

from dataclasses import replace

from components.session.session import Session
from components.work.studio import Studio
from dppa_core.pruning.density import Override, PruningParameters
from dppa_core.pruning.plan import PruningPlan


def drawn_with(session: Session, studio: Studio) -> PruningParameters:
    """What densities are worked out with; of methods that plan nothing only |d| is drawn."""
    if session.pruning is None:
        return replace(session.parameters, significance="magnitude")
    first = session.models[0].reference
    plan = studio.plan(session.base, first, session.levels, session.pruning)
    return plan.parameters if plan else replace(session.parameters, significance="magnitude")


def plan_of(session: Session, model: str, studio: Studio) -> PruningPlan | None:
    """The exact plan of one model, rates of single modules included; None where none is known."""
    if session.pruning is None:
        return None
    held = {name: Override(rate) for name, rate in session.held}
    return studio.plan(session.base, model, session.levels, session.pruning, held)
