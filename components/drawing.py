"""What the plots of a session are drawn with. Shared by the views of the middle column."""

from __future__ import annotations

from dataclasses import replace

from components.session import Session
from components.studio import Studio
from dppa_core.density import PruningParameters


def drawn_with(session: Session, studio: Studio) -> PruningParameters:
    """What densities are worked out with; of methods that plan nothing only |d| is drawn."""
    if session.pruning is None:
        return replace(session.parameters, significance="magnitude")
    first = session.models[0].reference
    plan = studio.plan(session.base, first, session.levels, session.pruning)
    return plan.parameters if plan else replace(session.parameters, significance="magnitude")
