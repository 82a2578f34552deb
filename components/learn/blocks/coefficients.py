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

AXIS = tuple(round(0.3 * n, 1) for n in range(6))
"""0 to 1.5."""
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


def entropy_surface(arguments: Arguments, bench: BlockContext) -> dict[str, Any]:
    """The entropy of a merge of two embedded models, {"first", "second"}, over both
    coefficients."""
    bench.studio.pool()  # imports of two threads at once get in each other's way
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
    found = entropy_landscape(
        recipe,
        domains,
        AXIS,
        settings,
        watch=lambda known: bench.show(_surface(known, models)),
        progress=bench.tell,
        stop=bench.stop,
    )
    return _surface(found, models)


def _surface(found: Landscape, models: tuple[str, ...]) -> dict[str, Any]:
    """The partial surface; points not computed yet are None."""
    mean = [[None if np.isnan(one) else round(float(one), 5) for one in row] for row in found.mean]
    return {
        "names": [model.removeprefix("zoo:") for model in models],
        "models": [model.removeprefix("zoo:") for model in KNOWN_MODELS],
        "axis": list(found.axis),
        "mean": mean,
        "path": [list(point) for point in found.path],
        "lowest": list(found.lowest),
        "settings": {
            name: getattr(found.settings, name) for name in ("lr", "prompts", "start", "steps")
        },
    }
