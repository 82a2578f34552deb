"""Imports mergekit's methods that add, prune and elect."""

from __future__ import annotations

from typing import Any

from dppa_core.errors import InvalidRecipe, NoCounterpart
from dppa_core.pruning.coefficients import Coefficient
from dppa_core.recipes.mergekit.reader import MergekitSource
from dppa_core.recipes.mergekit.targets import Importers, MethodHere
from dppa_core.recipes.yaml_text import Pruning

_Rates = list[tuple[float, ...]]
"""One number a band, for each model."""


def _linear(source: MergekitSource) -> MethodHere:
    return MethodHere("linear", source.weights(), {"divide": _divide(source, True)})


def _divide(source: MergekitSource, normalize: bool) -> str:
    """Our parameter `divide` for mergekit's `normalize`, which has this default."""
    return "coefficients" if source.flag("normalize", normalize) else "nothing"


def _task_arithmetic(source: MergekitSource) -> MethodHere:
    return MethodHere("task_arithmetic", _sum_weights(source))


def _sum_weights(source: MergekitSource) -> list[Coefficient]:
    """Coefficients of a sum: weight times lambda, over the sum of weights if normalised."""
    scale = source.number("lambda", 1.0)
    if not source.flag("normalize", False):
        return source.weights(scale)
    weights = source.weights()
    numbers = [weight for weight in weights if isinstance(weight, float)]
    if len(numbers) < len(weights):
        raise NoCounterpart("normalize: true with weights that are not the same everywhere.")
    total = sum(numbers)
    return [number * scale / (total if abs(total) >= 1e-8 else 1.0) for number in numbers]


def _ties_parameters(source: MergekitSource, normalize: bool) -> dict[str, Any]:
    """Parameters of ties that elects signs as mergekit does, after a pruning."""
    return {
        "density": 1.0,
        "ranked_in": "tensor",
        "semantics": "mergekit",
        "divide": _divide(source, normalize),
        "scale": source.number("lambda", 1.0),
    }


def _ties(source: MergekitSource) -> MethodHere:
    _refuse_rescale(source, False)
    parameters, density = _ties_parameters(source, True), source.common("density", 1.0)
    if density is not None:
        return MethodHere("ties", source.weights(), parameters | {"density": density})
    source.note("Where models have densities of their own, k is rounded to nearest, not down.")
    return MethodHere("ties", source.weights(), parameters, _by_magnitude(), _levels(source))


def _by_magnitude() -> Pruning:
    return Pruning("magnitude", {"other_tensors": "prune"})


def _levels(source: MergekitSource) -> _Rates:
    """The pruning rate of each model, from its density."""
    return [(_rate(source.number("density", 1.0, model)),) for _, model in source.models]


def _rate(density: float) -> float:
    if not 0 < density <= 1:
        raise InvalidRecipe(f"density must lie in (0, 1], got {density:g}.")
    return round(1 - density, 12)


def _refuse_rescale(source: MergekitSource, usual: bool) -> None:
    if source.flag("rescale", usual) != usual:
        raise NoCounterpart(
            f"rescale: {str(not usual).lower()} has no counterpart here: {source.method} "
            f"{'rescales' if usual else 'does not rescale'}, as it does without that key."
        )


_STREAM = "Elements are dropped at random, by other draws than mergekit's: alike on average only."
_BY_SUM = "Survivors are divided by the density; mergekit matches each tensor's sum of |d|."


def _dare_linear(source: MergekitSource) -> MethodHere:
    _refuse_rescale(source, True)
    source.note(_STREAM)
    source.note(_BY_SUM)
    return MethodHere("dare", _sum_weights(source), levels=_levels(source))


def _dare_ties(source: MergekitSource) -> MethodHere:
    _refuse_rescale(source, True)
    source.note(_STREAM)
    parameters, density = _ties_parameters(source, False), source.common("density", 1.0)
    if density is not None and parameters["divide"] == "nothing":
        drop = {"drop": _rate(density), "scale": parameters["scale"], "semantics": "mergekit"}
        return MethodHere("dare_ties", source.weights(), drop)
    source.note(_BY_SUM)
    return MethodHere("ties", source.weights(), parameters, Pruning("dare"), _levels(source))


def _without_ends(
    source: MergekitSource,
) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
    """Levels and factors that drop the smallest and the largest elements."""
    levels: list[tuple[float, ...]] = []
    factors: list[tuple[float, ...]] = []
    source.note("Counts are rounded to nearest; mergekit rounds them down.")
    source.note(
        "Where gamma of a tensor is less than one element, mergekit drops its whole delta, without "
        "a word; here no outlier is dropped then."
    )
    for _, model in source.models:
        density = source.number("density", 1.0, model)
        gamma = source.number("gamma", 0.01, model)
        if density >= 1:  # mergekit removes no outliers then either
            levels.append((0.0,))
            factors.append((1.0,))
            continue
        gamma = min(gamma, 1 - density)
        if gamma == 0:
            raise NoCounterpart(
                "gamma: 0 silently drops the whole delta in mergekit. To drop no outliers, "
                "use the method ties or task_arithmetic."
            )
        lowest = round(1 - density - gamma, 12)
        levels.append((round(1 - gamma, 12), max(lowest, 0.0)))
        factors.append((0.0, 1.0))
    return levels, factors


def _breadcrumbs(source: MergekitSource) -> MethodHere:
    _refuse_rescale(source, False)
    levels, factors = _without_ends(source)
    weights = _sum_weights(source)
    if len(set(levels)) == 1 and len(levels[0]) == 2:
        smallest, largest = levels[0][1], round(1 - levels[0][0], 12)
        parameters = {"drop_smallest": smallest, "drop_largest": largest, "scale": 1.0}
        return MethodHere("breadcrumbs", weights, parameters)
    return MethodHere("magnitude", weights, {"other_tensors": "prune"}, None, levels, factors)


def _breadcrumbs_ties(source: MergekitSource) -> MethodHere:
    _refuse_rescale(source, False)
    levels, factors = _without_ends(source)
    parameters = _ties_parameters(source, False)
    return MethodHere("ties", source.weights(), parameters, _by_magnitude(), levels, factors)


def _della(source: MergekitSource) -> MethodHere:
    _refuse_rescale(source, True)
    if not source.flag("normalize", True):
        raise NoCounterpart("normalize: false has no counterpart in della; its sum is a mean here.")
    source.note(_STREAM)
    density, half = source.common("density", 1.0), source.common("epsilon", 0.15)
    if density is None or half is None:
        raise NoCounterpart("della: density and epsilon must be the same for all models.")
    window = 2 * half if density < 1 else 0.0
    parameters = {"drop": _rate(density), "window": window, "scale": source.number("lambda", 1.0)}
    return MethodHere("della", source.weights(), parameters | {"semantics": "mergekit"})


def _sce(source: MergekitSource) -> MethodHere:
    parameters = {"density": source.number("select_topk", 1.0), "semantics": "mergekit"}
    return MethodHere("sce", [1.0] * len(source.models), parameters)


_COMMON = ("weight", "normalize", "rescale", "lambda", "int8_mask")

PRUNED: Importers = {
    "linear": (("weight", "normalize"), _linear),
    "task_arithmetic": (_COMMON, _task_arithmetic),
    "ties": ((*_COMMON, "density"), _ties),
    "dare_linear": ((*_COMMON, "density"), _dare_linear),
    "dare_ties": ((*_COMMON, "density"), _dare_ties),
    "breadcrumbs": ((*_COMMON, "density", "gamma"), _breadcrumbs),
    "breadcrumbs_ties": ((*_COMMON, "density", "gamma"), _breadcrumbs_ties),
    "della": ((*_COMMON, "density", "epsilon"), _della),
    "sce": (("select_topk", "int8_mask"), _sce),
}
