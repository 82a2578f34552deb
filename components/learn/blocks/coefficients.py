"""A block on coefficients: entropy over those of two models, and the optimiser's path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dppa_core.errors import InvalidValue
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_core.tuning.adamerging.texts import task_domains

from ...widgets.theme import KNOWN_MODELS
from .context import BASE, Arguments, BlockContext, choice

if TYPE_CHECKING:
    from dppa_core.tuning.adamerging.landscape import Landscape

AXIS = tuple(0.5 * n for n in range(6))
"""0 to 2.5."""
RUN: dict[str, Any] = {
    "prompts": 5,
    "batch": 5,
    "held_out": 1,
    "longest": 32,
    "lr": 0.1,
    "steps": 18,
}
"""Settings of the path: every prompt in every step, so that it lies on the drawn surface; fewer and
larger steps than the paper's 0.001."""


def entropy_surface(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """The entropy of a merge of two embedded models, {"first", "second"}, over coefficients."""
    context.studio.pool()  # imports of two threads at once get in each other's way
    from dppa_core.tuning.adamerging.landscape import entropy_landscape  # noqa: PLC0415  (torch)

    math, finance, law = KNOWN_MODELS
    first = choice(arguments, "first", (math, finance, law))
    second = choice(arguments, "second", (law, math, finance))
    if first == second:
        raise InvalidValue("A surface has two axes: choose two different models.")
    settings = AdaMergeSettings(**RUN)
    models = (first, second)
    domains = task_domains([model.removeprefix("zoo:") for model in models], settings)
    recipe = MergeRecipe(BASE, tuple(map(DomainModel, models)), "task_arithmetic")
    landscape = entropy_landscape(
        *(recipe, domains, AXIS, settings),
        watch=lambda partial: context.show(_surface(partial, models)),
        progress=context.progress,
        stop=context.stop,
    )
    return _surface(landscape, models)


def _surface(landscape: Landscape, models: tuple[str, ...]) -> dict[str, Any]:
    """The partial surface; points not computed yet are None."""
    names, mean = ("lr", "prompts", "start", "steps"), landscape.mean
    base, double = (float(mean[AXIS.index(x), AXIS.index(x)]) for x in (0.0, 2.0))
    return {
        "names": [model.removeprefix("zoo:") for model in models],
        "models": [model.removeprefix("zoo:") for model in KNOWN_MODELS],
        "axis": list(landscape.axis),
        "mean": [
            [None if np.isnan(entropy) else round(float(entropy), 5) for entropy in row]
            for row in mean
        ],
        "path": [list(point) for point in landscape.path],
        "lowest": list(landscape.lowest),
        "settings": {name: getattr(landscape.settings, name) for name in names},
        "figures": {} if np.isnan(mean).any() else {"base": base, "double": double},
    }
