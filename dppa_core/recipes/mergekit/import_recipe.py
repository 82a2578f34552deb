"""Imports mergekit's recipes, with notes on the differences.

The rules are from mergekit's documentation and version 0.1.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dppa_core.errors import InvalidRecipe, NoCounterpart
from dppa_core.pruning.coefficients import Coefficient
from dppa_core.recipes.mergekit.ignored import ignored_keys
from dppa_core.recipes.mergekit.reader import MergekitSource, read_source
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, Pruning


@dataclass(frozen=True, slots=True)
class Imported:
    """A recipe of ours made from one of mergekit's."""

    recipe: MergeRecipe
    notes: tuple[str, ...]
    """Differences from a merge by mergekit, one sentence each; empty if exact."""


_Rates = list[tuple[float, ...]]
"""One number a band, for each model."""


@dataclass(frozen=True, slots=True)
class _Target:
    method: str
    coefficients: Sequence[Coefficient]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    prune: Pruning | None = None
    levels: Sequence[tuple[float, ...]] = ()
    factors: Sequence[tuple[float, ...]] = ()


def import_mergekit(text: str, names: Callable[[str], Sequence[str]] = lambda base: ()) -> Imported:
    """Convert a mergekit recipe to ours.

    Args:
        names: Reference of a model -> names of its tensors, see `read_source`; needed for
            gradients over layers and for filters.

    Raises:
        InvalidRecipe: not a recipe of mergekit.
        NoCounterpart: our recipes cannot express it; the message says why.
    """
    source = read_source(text, names, _METHODS)
    target = _target(source)
    levels = target.levels or [(0.0,)] * len(source.models)
    factors = target.factors or [(1.0,) * len(rates) for rates in levels]
    models = tuple(
        DomainModel(reference, level, factor, coefficient)
        for (reference, _), level, factor, coefficient in zip(
            source.models, levels, factors, target.coefficients, strict=True
        )
    )
    recipe = MergeRecipe(
        source.base,
        models,
        target.method,
        target.parameters,
        dtype=source.dtype,
        prune=target.prune,
        vocabulary=source.vocabulary,
    )
    return Imported(recipe, tuple(source.notes))


def _target(source: MergekitSource) -> _Target:
    """Read the parameters of a recipe; all its problems become one error."""
    if source.method not in _METHODS:
        source.problems.check()
    keys, read = _METHODS[source.method]
    names = ", ".join(ignored_keys(source.data, keys))
    ignored = f"Ignored by mergekit too: {names}." if names else ""
    target = source.problems.run(lambda: read(source), None) if source.models else None
    source.problems.check(ignored)
    if ignored:
        source.note(ignored)
    return target or _Target(source.method, [])


def _linear(source: MergekitSource) -> _Target:
    return _Target("linear", source.weights(), {"divide": _divide(source, True)})


def _divide(source: MergekitSource, normalize: bool) -> str:
    """Our parameter `divide` for mergekit's `normalize`, which has this default."""
    return "coefficients" if source.flag("normalize", normalize) else "nothing"


def _task_arithmetic(source: MergekitSource) -> _Target:
    return _Target("task_arithmetic", _sum_weights(source))


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


def _ties(source: MergekitSource) -> _Target:
    _refuse_rescale(source, False)
    parameters, density = _ties_parameters(source, True), source.common("density", 1.0)
    if density is not None:
        return _Target("ties", source.weights(), parameters | {"density": density})
    source.note("Where models have densities of their own, k is rounded to nearest, not down.")
    return _Target("ties", source.weights(), parameters, _by_magnitude(), _levels(source))


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


def _dare_linear(source: MergekitSource) -> _Target:
    _refuse_rescale(source, True)
    source.note(_STREAM)
    source.note(_BY_SUM)
    return _Target("dare", _sum_weights(source), levels=_levels(source))


def _dare_ties(source: MergekitSource) -> _Target:
    _refuse_rescale(source, True)
    source.note(_STREAM)
    parameters, density = _ties_parameters(source, False), source.common("density", 1.0)
    if density is not None and parameters["divide"] == "nothing":
        drop = {"drop": _rate(density), "scale": parameters["scale"], "semantics": "mergekit"}
        return _Target("dare_ties", source.weights(), drop)
    source.note(_BY_SUM)
    return _Target("ties", source.weights(), parameters, Pruning("dare"), _levels(source))


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


def _breadcrumbs(source: MergekitSource) -> _Target:
    _refuse_rescale(source, False)
    levels, factors = _without_ends(source)
    weights = _sum_weights(source)
    if len(set(levels)) == 1 and len(levels[0]) == 2:
        smallest, largest = levels[0][1], round(1 - levels[0][0], 12)
        parameters = {"drop_smallest": smallest, "drop_largest": largest, "scale": 1.0}
        return _Target("breadcrumbs", weights, parameters)
    return _Target("magnitude", weights, {"other_tensors": "prune"}, None, levels, factors)


def _breadcrumbs_ties(source: MergekitSource) -> _Target:
    _refuse_rescale(source, False)
    levels, factors = _without_ends(source)
    parameters = _ties_parameters(source, False)
    return _Target("ties", source.weights(), parameters, _by_magnitude(), levels, factors)


def _della(source: MergekitSource) -> _Target:
    _refuse_rescale(source, True)
    if not source.flag("normalize", True):
        raise NoCounterpart("normalize: false has no counterpart in della; its sum is a mean here.")
    source.note(_STREAM)
    density, half = source.common("density", 1.0), source.common("epsilon", 0.15)
    if density is None or half is None:
        raise NoCounterpart("della: density and epsilon must be the same for all models.")
    window = 2 * half if density < 1 else 0.0
    parameters = {"drop": _rate(density), "window": window, "scale": source.number("lambda", 1.0)}
    return _Target("della", source.weights(), parameters | {"semantics": "mergekit"})


def _sce(source: MergekitSource) -> _Target:
    parameters = {"density": source.number("select_topk", 1.0), "semantics": "mergekit"}
    return _Target("sce", [1.0] * len(source.models), parameters)


def _slerp(source: MergekitSource) -> _Target:
    position, firsts = source.coefficient("t"), [1.0] * (len(source.models) - 1)
    if isinstance(position, float):
        return _Target("slerp", [*firsts, 1.0], {"position": position})
    return _Target("slerp", [*firsts, position], {"position": 1.0})


def _passthrough(source: MergekitSource) -> _Target:
    scales = [source.coefficient("scale", model, default=1.0) for _, model in source.models]
    return _Target("passthrough", scales)


_COMMON = ("weight", "normalize", "rescale", "lambda", "int8_mask")

_METHODS: Mapping[str, tuple[tuple[str, ...], Callable[[MergekitSource], _Target]]] = {
    "linear": (("weight", "normalize"), _linear),
    "slerp": (("t",), _slerp),
    "task_arithmetic": (_COMMON, _task_arithmetic),
    "ties": ((*_COMMON, "density"), _ties),
    "dare_linear": ((*_COMMON, "density"), _dare_linear),
    "dare_ties": ((*_COMMON, "density"), _dare_ties),
    "breadcrumbs": ((*_COMMON, "density", "gamma"), _breadcrumbs),
    "breadcrumbs_ties": ((*_COMMON, "density", "gamma"), _breadcrumbs_ties),
    "della": ((*_COMMON, "density", "epsilon"), _della),
    "sce": (("select_topk", "int8_mask"), _sce),
    "passthrough": (("scale",), _passthrough),
}
"""mergekit method -> its parameters, and the function that imports it."""
