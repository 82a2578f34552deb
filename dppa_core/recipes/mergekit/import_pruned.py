"""Imports mergekit's methods that add, prune and elect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dppa_core.errors import InvalidRecipe, NoCounterpart
from dppa_core.pruning.coefficients import Coefficient, coefficient_from
from dppa_core.recipes.mergekit.reader import MergekitSource
from dppa_core.recipes.mergekit.targets import Importers, MethodHere
from dppa_core.recipes.mergekit.values import Leaf, Setting


def _linear(source: MergekitSource) -> MethodHere:
    return MethodHere("linear", source.weights(), {"divide": _divide(source, True)})


def _divide(source: MergekitSource, normalize: bool) -> str:
    """Our parameter `divide` for mergekit's `normalize`, which has this default."""
    return "coefficients" if source.flag("normalize", normalize) else "nothing"


def _task_arithmetic(source: MergekitSource) -> MethodHere:
    """A sum with coefficients of weight times lambda, over the sum of weights if normalised."""
    weights, scale = source.weights(), source.coefficient("lambda", default=1.0)
    divides = source.flag("normalize", False)
    if not divides and isinstance(scale, float):
        return MethodHere("task_arithmetic", source.weights(scale))
    numbers = [weight for weight in weights if isinstance(weight, float)]
    if len(numbers) < len(weights) or not isinstance(scale, float):  # numbers differ by tensor
        whole = {"drop": [0.0] * len(weights), "window": [0.0] * len(weights)}
        return _of_method("della_linear", source, whole, _usual(source, divides, True))
    total = sum(numbers)
    divisor = total if abs(total) >= 1e-8 else 1.0
    return MethodHere("task_arithmetic", [number * scale / divisor for number in numbers])


def _usual(source: MergekitSource, normalize: bool, rescale: bool) -> dict[str, Any]:
    """The parameters that all methods with a drop have, and mergekit's defaults of two of them."""
    return {
        "semantics": "mergekit",
        "divide": _divide(source, normalize),
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


def _of_method(
    method: str, source: MergekitSource, values: Values, usual: Mapping[str, Any]
) -> MethodHere:
    """A method of ours; lambda is its scale, which all models have alike."""
    scales = [source.coefficient("lambda", default=1.0)] * len(source.models)
    shared, separate = _split({**values, "scale": scales})
    return MethodHere(method, source.weights(), {**usual, **shared}, separate)


def _by_model(
    source: MergekitSource, compute: Callable[..., float], **defaults: float
) -> list[Coefficient]:
    """A number of ours for each model, computed from mergekit's, for each tensor if they differ."""
    rows = [
        [source.setting(name, usual, model) for name, usual in defaults.items()]
        for _, model in source.models
    ]
    above = next((n for row in rows for n in row[:1] if isinstance(n, float) and n > 1), None)
    if above is not None and "density" in defaults:
        source.note(f"density {above:g} is above 1: nothing is dropped, as in mergekit.")
    return [_by_tensor(compute, row) for row in rows]


def _by_tensor(compute: Callable[..., float], settings: Sequence[Setting]) -> Coefficient:
    tensors = next((list(value) for value in settings if not isinstance(value, float)), None)
    if tensors is None:
        return compute(*settings)
    return coefficient_from(
        {
            tensor: _by_layer(compute, [v if isinstance(v, float) else v[tensor] for v in settings])
            for tensor in tensors
        }
    )


def _by_layer(compute: Callable[..., float], values: Sequence[Leaf]) -> Leaf:
    """A number computed from numbers, or from gradients at their points.

    Raises:
        NoCounterpart: between the points the result is no line, or the gradients differ in length.
    """
    count = max(len(value) if isinstance(value, tuple) else 1 for value in values)
    rows = [value if isinstance(value, tuple) else (value,) * count for value in values]
    if count == 1:
        return compute(*(row[0] for row in rows))
    if {len(row) for row in rows} == {count}:
        points = tuple(compute(*point) for point in zip(*rows, strict=True))
        between = [
            compute(*((row[n] + row[n + 1]) / 2 for row in rows)) - (points[n] + points[n + 1]) / 2
            for n in range(count - 1)
        ]
        if max(map(abs, between)) < 1e-9:
            return points
    raise NoCounterpart(
        "A density differs between layers, and their number is unknown here. Give it with "
        "--layers if the base is a Llama, or make one of the models readable."
    )


def _ties(source: MergekitSource) -> MethodHere:
    values = {"density": _by_model(source, _density, density=1.0)}
    return _of_method("ties", source, values, {"ranked_in": "tensor"} | _usual(source, True, False))


def _density(density: float) -> float:
    return min(density, 1.0)


def _rate(density: float) -> float:
    if density <= 0:
        raise InvalidRecipe(f"density must be above 0, got {density:g}: nothing would be left.")
    return max(round(1 - density, 12), 0.0)


_STREAM = "Elements are dropped at random, by other draws than mergekit's: alike on average only."


def _dare_linear(source: MergekitSource) -> MethodHere:
    source.note(_STREAM)
    values = {"drop": _by_model(source, _rate, density=1.0)}
    usual = {"window": 0.0, "drop": 0.5} | _usual(source, False, True)
    return _of_method("della_linear", source, values, usual)


def _dare_ties(source: MergekitSource) -> MethodHere:
    source.note(_STREAM)
    values = {"drop": _by_model(source, _rate, density=1.0)}
    return _of_method("dare_ties", source, values, _usual(source, False, True))


def _breadcrumbs(source: MergekitSource, signs: str = "all") -> MethodHere:
    source.note(
        "mergekit before 0.1.5 dropped the whole delta of a tensor of which gamma is less than one "
        "element."
    )
    ends = {
        name: _by_model(source, compute, density=1.0, gamma=0.01)
        for name, compute in (("drop_smallest", _smallest), ("drop_largest", _largest))
    }
    usual = _usual(source, False, False) | {"signs": signs}
    return _of_method("breadcrumbs", source, ends, usual)


def _largest(density: float, gamma: float) -> float:
    return min(max(gamma, 0.0), 1.0) if density < 1 else 0.0


def _smallest(density: float, gamma: float) -> float:
    return round(1 - min(density, 1.0) - _largest(density, gamma), 12)


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
    usual = {"drop": 0.5, "window": 0.0} | _usual(source, normalize, True)
    return _of_method(method, source, drops, usual)


def _window(density: float, epsilon: float) -> float:
    return 2 * epsilon if density < 1 else 0.0


def _sce(source: MergekitSource) -> MethodHere:
    density = source.coefficient("select_topk", default=1.0)
    shared, separate = _split({"density": [density] * len(source.models)})
    coefficients = [1.0] * len(source.models)
    return MethodHere("sce", coefficients, shared | {"semantics": "mergekit"}, separate)


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
