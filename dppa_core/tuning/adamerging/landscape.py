"""The objective of AdaMerging over two coefficients, and the path of its optimiser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.errors import InvalidValue
from dppa_core.progress import Progress, RunControl, Stop, check, report
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tuning.adamerging.adam_steps import Run, means
from dppa_core.tuning.adamerging.adamerge import own_model, prepared
from dppa_core.tuning.adamerging.model import TunableModel
from dppa_core.tuning.adamerging.replies import encode, teach
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_core.tuning.adamerging.texts import Domain


@dataclass(frozen=True, slots=True, eq=False)
class Landscape:
    """Mean entropy at the answer positions, in nats, over the coefficients of two models."""

    axis: tuple[float, ...]
    """Coefficients of the grid, the same for both models."""
    entropy: Float64[ndarray, "domains first second"]
    """Entropy of each domain's prompts, by the coefficients of the first and second model; NaN if
    not computed yet."""
    path: tuple[tuple[float, float], ...]
    """Coefficients before the first step, and after each step done."""
    objectives: tuple[float, ...]
    """Mean entropy of each step's prompts, before the step."""
    settings: AdaMergeSettings

    @property
    def mean(self) -> Float64[ndarray, "first second"]:
        """The objective: mean entropy over the domains."""
        return np.asarray(self.entropy.mean(axis=0))

    @property
    def lowest(self) -> tuple[float, float]:
        """The coefficients with the smallest mean among the computed points."""
        first, second = np.unravel_index(int(np.nanargmin(self.mean)), self.mean.shape)
        return self.axis[first], self.axis[second]


Watch = Callable[[Landscape], None]
"""Called with the landscape so far, after every point and every step."""


def coarse_first(points: int) -> tuple[tuple[int, int], ...]:
    """Every point of a square grid of `points` >= 1 a side once, from coarse to fine."""
    stride = 1 << max(points - 1, 1).bit_length() - 1
    points_in_order: dict[tuple[int, int], None] = {}
    while stride:
        marks = range(0, points, stride)
        points_in_order |= dict.fromkeys(product(marks, marks))
        stride //= 2
    return tuple(points_in_order)


def entropy_landscape(
    recipe: MergeRecipe,
    domains: Sequence[Domain],
    axis: Sequence[float],
    settings: AdaMergeSettings,
    *,
    watch: Watch | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Landscape:
    """Compute the objective on a grid, from coarse to fine, then run the optimiser.

    Args:
        recipe: Two domain models and a method that adds deltas; its coefficients are ignored.
        domains: One per model, in the recipe's order.
        axis: Coefficients of the grid.
        settings: Of the optimiser, with one coefficient per model. With all prompts in a batch,
            its path lies exactly on the surface of the grid.
        watch: Called with the landscape so far, from the first point on.

    Raises:
        InvalidValue: not two models, or no point.
        InvalidRecipe: a method that combines deltas.
        Cancelled: stopped.
    """
    _check(recipe, axis, settings)
    control: RunControl = {"progress": progress, "stop": stop}
    deltas = prepared(recipe, domains, **control)
    resident = own_model(deltas.merger, **control)
    scripts = tuple(encode(resident, domain) for domain in domains)
    weights = TunableModel(deltas, resident.model, per_layer=False)
    scripts = teach(resident, scripts, deltas.merger.recipe, settings, **control)
    surface = np.full((len(scripts), len(axis), len(axis)), np.nan)
    run = Run(weights, resident, scripts, settings, torch.float32)
    path, points = [_pair(run)], coarse_first(len(axis))

    def landscape() -> Landscape:
        return Landscape(tuple(axis), surface.copy(), tuple(path), tuple(run.objectives), settings)

    def show(count: int, items: str) -> None:
        report(progress, count, len(points) + settings.steps, items)
        if watch:
            watch(landscape())

    for count, (i, k) in enumerate(points, 1):
        check(stop)
        weights.write(np.array([[axis[i]], [axis[k]]]))
        by_domain = [means(resident.model, s.taught, settings.together) for s in scripts]
        surface[:, i, k] = [mean_entropy for mean_entropy, _ in by_domain]
        show(count, "points of the landscape")
    for step in range(settings.steps):
        run.advance(stop)
        path.append(_pair(run))
        show(len(points) + step + 1, "steps of the optimiser")
    return landscape()


def _check(recipe: MergeRecipe, axis: Sequence[float], settings: AdaMergeSettings) -> None:
    if len(recipe.models) != 2 or not axis or settings.per != "model":
        raise InvalidValue(
            f"A landscape needs two coefficients, one per model, and some points; got "
            f"{len(recipe.models)} models, {len(axis)} points and per: {settings.per}."
        )


def _pair(run: Run) -> tuple[float, float]:
    (first,), (second,) = run.state.coefficients
    return first, second
