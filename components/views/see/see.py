"""The plots and the line of exact numbers below them. assets/js/plots/plots.js draws them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from dppa_core.checkpoints.checkpoint import low_bit_of
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.sources.references import layer_sources
from dppa_core.errors import InvalidRecipe, InvalidValue, UnknownName
from dppa_core.progress import Stop
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.plan import PruningPlan
from dppa_core.pruning.pruning_parameters import Override, PruningParameters
from dppa_core.recipes.yaml_text import recipe_hash

from ...session.session import Session
from ...widgets.browser_parts import live, static
from ...widgets.theme import BASE_COLOUR, model_colours
from ...work.figures import exact_value, outcome_value, plan_value, settings_json, short_name
from ...work.kinds import TABLE
from ...work.studio import Emit, Studio
from .spectrum import spectrum_cost
from .verdict import (
    WHEN_TO_PRUNE,
    asked_questions,
    before_scoring,
    of_other_trainings,
    opening_html,
    shown_merges,
    small_deltas,
    verdict_of,
    which_for_what,
)

SKELETON = (
    '<div class="skeleton" role="status" aria-label="The plots are being prepared">'
    + "<i></i>" * 3
    + "</div>"
)


@dataclass(frozen=True, slots=True)
class SeeView:
    """The components of the middle column."""

    verdict: gr.HTML
    """The retention of the merge, as far as it is known."""
    beforehand: gr.HTML
    """A note on the effects that only a merge shows, and the merge button."""
    plots: gr.HTML
    exact: gr.HTML
    merging_place: gr.HTML
    """Hidden: the position of this visitor's merge in the queue."""
    measuring_place: gr.HTML


def build_see() -> SeeView:
    """Build three plots, and the numbers of the server's exact plan."""
    verdict_value = {
        "purposes": which_for_what(),
        "shows": shown_merges(),
        "others": of_other_trainings(),
        "when": WHEN_TO_PRUNE,
        "asked": asked_questions(),
    }
    verdict = live("verdict", verdict_value, skeleton=opening_html())
    beforehand = live("beforehand", None, events=("merge",))
    plots = live("plots", None, skeleton=SKELETON)
    live("small-changes", small_deltas())
    exact = live("exact", None, events=("rest",), skeleton='<p class="numbers">&nbsp;</p>')
    places = static("", "merge-place"), static("", "see-place")
    return SeeView(verdict, beforehand, plots, exact, *places)


def drawn_with(session: Session, studio: Studio) -> PruningParameters:
    """The pruning settings that determine densities; methods without a plan show only |d|."""
    if session.pruning is None:
        return replace(session.parameters, significance="magnitude")
    first = session.models[0].reference
    plan = studio.plan(session.base, first, session.levels, session.pruning)
    return plan.parameters if plan else replace(session.parameters, significance="magnitude")


def plan_of(session: Session, model: str, studio: Studio) -> PruningPlan | None:
    """The exact plan of one model, with rates of single modules; None if none is known."""
    if session.pruning is None:
        return None
    held = {name: Override(rate) for name, rate in session.held}
    return studio.plan(session.base, model, session.levels, session.pruning, held)


def plots_payload(
    session: Session, studio: Studio, *, adopt: bool = False, look: str = ""
) -> dict[str, Any]:
    """Tables of every model in the list, with their names and colours. With `adopt` (a preset) the
    browser takes the settings over; `look` is the model to draw from now on, or empty."""
    references = tuple(model.reference for model in session.models)
    parameters = drawn_with(session, studio)
    tables = {name: studio.table(session.base, name, parameters) for name in references}
    names: dict[str, dict[str, Any]] = {
        session.base: {"label": short_name(session.base), "colour": BASE_COLOUR}
        | _few_bits(session.base, studio)
    }
    names |= {
        name: {
            "label": short_name(name),
            "colour": colour,
            "layers": layer_sources(name),
            "rank": _highest_rank(studio.profile(session.base, name)),
            "spectrum": spectrum_cost(session.base, name, studio),
        }
        for name, colour in model_colours(references).items()
    }
    return {
        "tables": tables,
        "settings": settings_json(session),
        "outliers": parameters.k_module,
        "names": names,
        "adopt": adopt,
        "look": look,
    }


def _few_bits(base: str, studio: Studio) -> dict[str, str]:
    """The format of a base that is stored in few bits: its merges are bfloat16."""
    few = (
        None if base.startswith("zoo:") else low_bit_of(open_checkpoint(base, public=studio.public))
    )
    return {"few_bits": few.title} if few else {}


def _highest_rank(profile: DeltaProfile) -> int:
    """The highest rank with which the factors of some matrix are smaller than the matrix."""
    shapes = (item.module.shape[-2:] for item in profile.modules)
    return max((rows * columns // (rows + columns) for rows, columns in shapes), default=1)


def exact_payload(
    session: Session, studio: Studio, *, adopt: bool = False, planned: bool = False
) -> dict[str, Any]:
    """The exact plan of every model in the list, and the hash of their recipe. If only a merge
    shows the effect on the deltas, that is included once it is in memory. Without plans if the
    browser has `planned`: it adds its own."""
    names = [model.reference for model in session.models]
    modules = {name: studio.profile(session.base, name).modules for name in names}
    sizes = {name: {item.module.name: item.numel for item in modules[name]} for name in names}
    recipe, problem, plans = None, "", {}
    try:
        recipe = session.recipe()
        plans = {} if planned else _plans(session, studio)
    except (InvalidValue, InvalidRecipe, UnknownName) as error:
        recipe, problem = None, str(error)
    value = exact_value(session, sizes, plans, recipe_hash(recipe) if recipe else "", problem)
    outcome = studio.known_outcome(recipe) if recipe else None
    return {
        **value,
        "planned": planned,
        "merged": recipe is not None and studio.merged(recipe),
        "outcome": outcome_value(outcome) if outcome else None,
        "adopt": adopt,
        "verdict": verdict_of(recipe) if recipe else "No merge at these settings.",
        "measured": before_scoring(recipe) if recipe else None,
    }


def _plans(session: Session, studio: Studio) -> dict[str, dict[str, Any]]:
    """The plan of every model in the list, as drawn; empty if the method has no plan."""
    pruning, levels = session.pruning, session.levels
    if pruning is None:
        return {}
    held = {name: Override(rate) for name, rate in session.held}
    plans = {
        model.reference: studio.shown_plan(
            session.base, model.reference, levels, pruning, held, plan_value
        )
        for model in session.models
    }
    return {name: plan for name, plan in plans.items() if plan is not None}


def merged_payload(session: Session, studio: Studio) -> Iterator[dict[str, Any]]:
    """Merge and measure the weights, then yield `exact_payload`; {} while it runs. Closing the
    iterator stops the merge."""
    recipe = session.recipe()

    def work(_emit: Emit, stop: Stop) -> None:
        studio.outcome(recipe, stop)

    for _ in studio.start(TABLE, work).to_its_end(every=0.25):
        yield {}
    yield exact_payload(session, studio)
