"""The session nearest to a recipe, and what of the recipe has no control on the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dppa_core.checkpoints.vocabulary.chat_templates import is_template
from dppa_core.checkpoints.vocabulary.token_rows import UNSET
from dppa_core.pruning.coefficients import Coefficient
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, recipe_hash

from .fields import COEFFICIENT, FACTOR, MOST_PARTITIONS
from .forms import on_base
from .from_recipe import beyond_controls, every_layer_spelled_out, unchecked_session
from .method_choice import DPPA
from .session import MOST_MODELS, Session
from .state import session_from_state, state_of


def within_controls(recipe: MergeRecipe) -> MergeRecipe:
    """The recipe without what has no control: the first models and levels, numbers within the
    sliders' ranges."""
    prune = recipe.prune if recipe.prune is None or recipe.prune.method == DPPA else None
    if prune is not recipe.prune:
        models = tuple(replace(m, levels=(0.0,), amplification=(1.0,)) for m in recipe.models)
        recipe = replace(recipe, prune=None, models=models)
    levels = recipe.models[0].levels[-MOST_PARTITIONS:]
    return replace(
        recipe,
        models=tuple(
            _model(replace(model, model=on_base(model.model, recipe.base)), levels)
            for model in recipe.models[:MOST_MODELS]
        ),
        seed=0,
        vocabulary="base",
        token_rows=UNSET,
        chat_template="auto" if is_template(recipe.chat_template) else recipe.chat_template,
        calibration=None,
    )


def nearest_session(recipe: MergeRecipe, reduced: MergeRecipe, layers: int) -> tuple[Session, str]:
    """The session of a reduced recipe, and a sentence that lists what of the recipe it leaves out;
    empty if nothing.

    Raises:
        InvalidValue: a value that no session has.
    """
    session = session_from_state(state_of(unchecked_session(reduced, layers)))
    left_out = list(beyond_controls(recipe))
    if recipe_hash(session.recipe()) != recipe_hash(every_layer_spelled_out(reduced, layers)):
        left_out.append("a number has more digits than its control")
    if not left_out:
        return session, ""
    return session, (
        f"These have no control on the page, so it shows another merge: {'; '.join(left_out)}. "
        "`dppa merge recipe.yaml` merges the recipe as it stands."
    )


def _model(model: DomainModel, levels: tuple[float, ...]) -> DomainModel:
    factors = model.amplification[-len(levels) :]
    if len(factors) < len(levels):
        factors = (*factors, *(factors[-1:] * (len(levels) - len(factors))))
    low, high = FACTOR[:2]
    return replace(
        model,
        levels=levels,
        amplification=tuple(min(max(factor, low), high) for factor in factors),
        coefficient=_within(model.coefficient),
        parameters={},
        calibration=None,
    )


def _within(value: Coefficient) -> Coefficient:
    low, high, _ = COEFFICIENT
    if isinstance(value, tuple):  # shown as text
        return value
    if isinstance(value, Mapping):
        return {layer: min(max(number, low), high) for layer, number in value.items()}
    return min(max(value, low), high)
