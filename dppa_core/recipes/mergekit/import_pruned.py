"""Imports mergekit's methods that add, prune and elect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dppa_core.errors import InvalidRecipe
from dppa_core.pruning.coefficients import Coefficient, coefficient_from
from dppa_core.recipes.mergekit.reader import MergekitSource
from dppa_core.recipes.mergekit.targets import Importers, MethodHere
from dppa_core.recipes.mergekit.values import Setting


def _linear(source: MergekitSource) -> MethodHere:
    return MethodHere("linear", source.weights(), {"divide": _divide(source, True)})


def _divide(source: MergekitSource, normalize: bool) -> str:
    """Our parameter `divide` for mergekit's `normalize`, which has this default."""
    return "coefficients" if source.flag("normalize", normalize) else "nothing"


def _task_arithmetic(source: MergekitSource) -> MethodHere:
    """A sum with coefficients of weight times lambda, over the sum of weights if normalised."""
    weights, scale = source.weights(), source.number("lambda", 1.0)
    if not source.flag("normalize", False):
        return MethodHere("task_arithmetic", source.weights(scale))
    numbers = [weight for weight in weights if isinstance(weight, float)]
    if len(numbers) < len(weights):  # a sum that differs by tensor divides
        whole = {"drop": 0.0, "window": 0.0}
        return MethodHere("della_linear", weights, whole | _usual(source, True, True))
    total = sum(numbers)
    divisor = total if abs(total) >= 1e-8 else 1.0
    return MethodHere("task_arithmetic", [number * scale / divisor for number in numbers])


def _usual(source: MergekitSource, normalize: bool, rescale: bool) -> dict[str, Any]:
    """The parameters that all methods with a drop have, and mergekit's defaults of two of them."""
    return {
        "semantics": "mergekit",
        "divide": _divide(source, normalize),
        "scale": source.number("lambda", 1.0),
        "rescale": "yes" if source.flag("rescale", rescale) else "no",
    }


Values = Mapping[str, Sequence[Coefficient]]
"""Our parameter -> its value for each model."""


def _split(values: Values) -> tuple[dict[str, Any], list[dict[str, Coefficient]]]:
    """What all models share as the method's parameters, the rest as each model's own."""
    shared: dict[str, Any] = {}
    separate: list[dict[str, Coefficient]] = [{} for _ in next(iter(values.values()))]
    for name, by_model in values.items():
        if isinstance(by_model[0], float) and all(value == by_model[0] for value in by_model):
            shared[name] = by_model[0]
            continue
        for settings, value in zip(separate, by_model, strict=True):
            settings[name] = value
    return shared, separate


def _by_model(
    source: MergekitSource, compute: Callable[..., float], **defaults: float
) -> list[Coefficient]:
    """A number of ours for each model, computed from mergekit's, for each tensor if they differ."""
    return [
        _by_tensor(
            compute, [source.setting(name, usual, model) for name, usual in defaults.items()]
        )
        for _, model in source.models
    ]


def _by_tensor(compute: Callable[..., float], settings: Sequence[Setting]) -> Coefficient:
    tensors = next((list(value) for value in settings if not isinstance(value, float)), None)
    if tensors is None:
        return compute(*settings)
    return coefficient_from(
        {
            tensor: compute(*(v if isinstance(v, float) else v[tensor] for v in settings))
            for tensor in tensors
        }
    )


def _ties(source: MergekitSource) -> MethodHere:
    shared, separate = _split({"density": _by_model(source, _density, density=1.0)})
    parameters = {"ranked_in": "tensor", **_usual(source, True, False), **shared}
    return MethodHere("ties", source.weights(), parameters, separate)


def _density(density: float) -> float:
    return min(density, 1.0)


def _rate(density: float) -> float:
    if density <= 0:
        raise InvalidRecipe(f"density must be above 0, got {density:g}: nothing would be left.")
    return max(round(1 - density, 12), 0.0)


_STREAM = "Elements are dropped at random, by other draws than mergekit's: alike on average only."


def _dare_linear(source: MergekitSource) -> MethodHere:
    source.note(_STREAM)
    shared, separate = _split({"drop": _by_model(source, _rate, density=1.0)})
    parameters = {"window": 0.0, "drop": 0.5, **_usual(source, False, True), **shared}
    return MethodHere("della_linear", source.weights(), parameters, separate)


def _dare_ties(source: MergekitSource) -> MethodHere:
    source.note(_STREAM)
    shared, separate = _split({"drop": _by_model(source, _rate, density=1.0)})
    return MethodHere(
        "dare_ties", source.weights(), {**_usual(source, False, True), **shared}, separate
    )


def _breadcrumbs(source: MergekitSource, signs: str = "all") -> MethodHere:
    source.note(
        "mergekit before 0.1.5 dropped the whole delta of a tensor of which gamma is less than one "
        "element."
    )
    ends = {
        name: _by_model(source, compute, density=1.0, gamma=0.01)
        for name, compute in (("drop_smallest", _smallest), ("drop_largest", _largest))
    }
    shared, separate = _split(ends)
    parameters = {**_usual(source, False, False), "signs": signs, **shared}
    return MethodHere("breadcrumbs", source.weights(), parameters, separate)


def _largest(density: float, gamma: float) -> float:
    return max(round(min(gamma, 1 - density), 12), 0.0)


def _smallest(density: float, gamma: float) -> float:
    return max(round(1 - density - gamma, 12), 0.0)


def _breadcrumbs_ties(source: MergekitSource) -> MethodHere:
    return _breadcrumbs(source, "elected")


def _della(source: MergekitSource) -> MethodHere:
    return _magpruned(source, "della", True)


def _della_linear(source: MergekitSource) -> MethodHere:
    return _magpruned(source, "della_linear", False)


def _magpruned(source: MergekitSource, method: str, normalize: bool) -> MethodHere:
    source.note(_STREAM)
    drops = {
        "drop": _by_model(source, _rate, density=1.0),
        "window": _by_model(source, _window, density=1.0, epsilon=0.15),
    }
    shared, separate = _split(drops)
    parameters = {"drop": 0.5, "window": 0.0, **_usual(source, normalize, True), **shared}
    return MethodHere(method, source.weights(), parameters, separate)


def _window(density: float, epsilon: float) -> float:
    return 2 * epsilon if density < 1 else 0.0


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
    "della_linear": ((*_COMMON, "density", "epsilon"), _della_linear),
    "sce": (("select_topk", "int8_mask"), _sce),
}
