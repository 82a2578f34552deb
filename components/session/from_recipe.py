"""Reads a recipe as a session; refuses by name any setting that has no control on the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from dppa_core.checkpoints.vocabulary.chat_templates import is_template
from dppa_core.errors import DppaError, InvalidValue, shown
from dppa_core.methods.registry import get_method
from dppa_core.pruning.partition import even_levels
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.recipes.recipe import known_dtype
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, recipe_hash

from .curve import points_through
from .fields import COEFFICIENT, FACTOR, MOST_PARTITIONS, PRUNING_SETTINGS
from .forms import beyond_base
from .method_choice import DPPA, MethodChoice
from .parts import parts_text
from .session import MOST_MODELS, ModelChoice, Session
from .state import session_from_state, state_of

_REMEDY = "Merge it with `dppa merge recipe.yaml`, or change the recipe."


def session_from_recipe(recipe: MergeRecipe, layers: int) -> Session:
    """The session whose merge is this recipe; raises InvalidValue if the page cannot show it.
    Coefficients by layer become a curve over all `layers` of the base."""
    problems = list(beyond_controls(recipe))
    if problems:
        raise InvalidValue(f"The page cannot show this recipe: {'; '.join(problems)}. {_REMEDY}")
    try:
        session = session_from_state(state_of(unchecked_session(recipe, layers)))
    except DppaError as error:
        raise InvalidValue(f"The page cannot show this recipe: {error} {_REMEDY}") from error
    if recipe_hash(session.recipe()) != recipe_hash(every_layer_spelled_out(recipe, layers)):
        raise InvalidValue(
            "The page cannot show this recipe: with its controls it would become another merge. "
            f"A rate with more than four digits is the usual cause. {_REMEDY}"
        )
    return session


def every_layer_spelled_out(recipe: MergeRecipe, layers: int) -> MergeRecipe:
    """The same merge with a coefficient for every layer, or one number if all are equal."""
    models = tuple(
        replace(model, coefficient=_model(model, layers).weight)
        if isinstance(model.coefficient, Mapping)
        else model
        for model in recipe.models
    )
    return replace(recipe, models=models)


def _every_layer(numbers: Mapping[int, float], layers: int) -> dict[int, float]:
    """A coefficient for every layer; 1.0 where the recipe has none."""
    last = max(layers - 1, *numbers, 1)
    return {layer: numbers.get(layer, 1.0) for layer in range(last + 1)}


def beyond_controls(recipe: MergeRecipe) -> Iterator[str]:
    """Settings of the recipe that have no control on the page, each in a few words."""
    first, *others = recipe.models
    if len(recipe.models) > MOST_MODELS:
        yield f"{len(recipe.models)} domain models, and at most {MOST_MODELS} fit"
    for model in others:
        if model.levels != first.levels:
            yield (
                f"{model.model} has the levels {shown(list(model.levels))} and {first.model} "
                f"{shown(list(first.levels))}, and here all models have the same"
            )
    if len(first.levels) > MOST_PARTITIONS:
        yield f"{len(first.levels)} levels, and at most {MOST_PARTITIONS} fit"
    for model in recipe.models:
        yield from beyond_base(model.model, recipe.base)
        yield from _beyond_model(model)
    usual = {"seed": 0, "vocabulary": "base", "arithmetic": "float32"}
    for name, value in usual.items():
        if getattr(recipe, name) != value:
            yield f"{name} is {getattr(recipe, name)}, and here it is always {value}"
    yield from _beyond_tokens(recipe)
    if recipe.calibration or any(model.calibration for model in recipe.models):
        yield "it names calibration text, and here each model reads its own domain's"
    yield from _beyond_pruning(recipe)


def _beyond_tokens(recipe: MergeRecipe) -> Iterator[str]:
    if rows := recipe.token_rows.values():
        yield f"vocabulary has {', '.join(rows)}, and here rows are as in the models"
    if is_template(recipe.chat_template):
        yield "its chat template is a text, and here it is one of a list or a model's"


def _beyond_model(model: DomainModel) -> Iterator[str]:
    if max(model.amplification) > FACTOR[1]:
        yield (
            f"{model.model} is amplified by {max(model.amplification):g}, and here by at most "
            f"{FACTOR[1]:g}"
        )
    if model.parameters:
        yield f"{model.model} has settings of its own, and here all models have the method's"
    if isinstance(model.coefficient, tuple):  # shown as text
        return
    low, high, _ = COEFFICIENT
    numbers = model.coefficient
    values = numbers.values() if isinstance(numbers, Mapping) else (numbers,)
    if any(not low <= value <= high for value in values):
        yield f"{model.model} has a coefficient outside of {low:g} to {high:g}"


def _beyond_pruning(recipe: MergeRecipe) -> Iterator[str]:
    if recipe.prune is None:
        return
    if recipe.prune.method != DPPA:
        yield f"{recipe.prune.method} prunes before {recipe.method}, and here only dppa does"
        return
    for item in fields(PruningParameters):
        value = recipe.prune.parameters.get(item.name, item.default)
        if item.name not in PRUNING_SETTINGS and value != item.default:
            yield f"prune has {item.name}: {value}, and here it is {item.default}"


def unchecked_session(recipe: MergeRecipe, layers: int) -> Session:
    """The session of a recipe that has nothing beyond the controls."""
    sliders = _sliders(recipe)
    factors = {model.model: model.amplification for model in recipe.models}
    linked = len(set(factors.values())) == 1
    return Session(
        base=recipe.base,
        models=tuple(_model(model, layers) for model in recipe.models),
        **_levels(recipe),
        **sliders,
        linked=linked,
        factors=recipe.models[0].amplification,
        own_factors=() if linked else tuple(factors.items()),
        method=_method(recipe),
        overrides=tuple((name, item.rate) for name, item in recipe.overrides.items()),
        chat_template=recipe.chat_template,
        dtype="base" if known_dtype(recipe.base, "base") == recipe.dtype else recipe.dtype,
        heads=recipe.heads,
    )


def _sliders(recipe: MergeRecipe) -> dict[str, Any]:
    """Values of the Dynamically Pruning sliders; empty if the recipe has none."""
    parameters = recipe.parameters if recipe.method == DPPA else {}
    settings: Mapping[str, Any] = recipe.prune.parameters if recipe.prune else parameters
    return {name: settings[name] for name in PRUNING_SETTINGS if name in settings}


def _levels(recipe: MergeRecipe) -> dict[str, Any]:
    """Rate, partitions and shares; the page's defaults if the method does not prune."""
    levels = recipe.models[0].levels
    if recipe.prune is None and not get_method(recipe.method).prunes:
        return {}
    choices = {"rate": levels[-1], "partitions": len(levels)}
    if levels == even_levels(levels[-1], len(levels)):
        return choices
    kept = 1 - levels[-1]
    return choices | {"shares": tuple(round((1 - level) / kept, 12) for level in levels[:-1])}


def _method(recipe: MergeRecipe) -> MethodChoice:
    usual = {item.name: item.default for item in fields(get_method(recipe.method).parameters)}
    values = tuple(
        (name, value)
        for name, value in recipe.parameters.items()
        if value != usual[name] and not (recipe.method == DPPA and name in PRUNING_SETTINGS)
    )
    return MethodChoice(recipe.method, values, prune_first=recipe.prune is not None)


def _model(model: DomainModel, layers: int) -> ModelChoice:
    numbers = model.coefficient
    if isinstance(numbers, Mapping):
        return ModelChoice(model.model, curve=points_through(_every_layer(numbers, layers)))
    if isinstance(numbers, tuple):
        return ModelChoice(model.model, parts=parts_text(numbers))
    return ModelChoice(model.model, coefficient=numbers)
