"""How each of our methods is said in mergekit's words, with what differs or the reason why not.

Knows the two vocabularies, no text format; opens no model. What mergekit does was read from its
documentation and its version 0.1.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dppa_core.errors import NoCounterpart
from dppa_core.methods.registry import get_method
from dppa_core.recipe import DomainModel, MergeRecipe


@dataclass(frozen=True, slots=True)
class Said:
    """A merge in mergekit's words."""

    method: str
    models: Sequence[Mapping[str, Any]]
    """Parameters of each domain model."""
    parameters: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def say(recipe: MergeRecipe, layers: int | None) -> Said:
    """A recipe in mergekit's words.

    Args:
        recipe: Any recipe.
        layers: Of the base; needed where coefficients differ by layer.

    Raises:
        NoCounterpart: mergekit has no such merge; the message says why.
    """
    if recipe.prune is not None:
        return _staged(recipe, layers)
    if recipe.method in _METHODS:
        return _METHODS[recipe.method](recipe, layers)
    raise NoCounterpart(
        f"mergekit has no {get_method(recipe.method).title}. Merge it here, and use the merged "
        "folder as a model there."
    )


def _weight(model: DomainModel, layers: int | None, times: float = 1.0) -> Any:
    """A coefficient as mergekit's weight; by layer it is a gradient with a stop at every layer."""
    if isinstance(model.coefficient, float):
        return model.coefficient * times
    if layers is None:
        raise NoCounterpart(
            f"model {model.model!r}: its coefficients differ by layer, and how many layers there "
            "are is not known here. Say it with --layers, or have the base where it can be read."
        )
    inside = [model.coefficient_at(layer, layers) * times for layer in range(layers)]
    outside = model.coefficient_at(None, layers) * times
    return [{"filter": ".layers.", "value": inside}, {"value": outside}]


def _weights(recipe: MergeRecipe, layers: int | None, times: float = 1.0) -> list[dict[str, Any]]:
    return [{"weight": _weight(model, layers, times)} for model in recipe.models]


def _check_factors(recipe: MergeRecipe) -> None:
    """Amplification of whole deltas is of modules alone, which mergekit cannot say."""
    for model in recipe.models:
        if set(model.amplification) != {1.0}:
            raise NoCounterpart(
                f"model {model.model!r}: an amplification of {model.amplification[0]:g} is of the "
                "modules alone; mergekit's weight is of all tensors. Use the coefficient."
            )


def _same(recipe: MergeRecipe) -> float | None:
    """The coefficient all models share, or None."""
    found = {m.coefficient if isinstance(m.coefficient, float) else None for m in recipe.models}
    return found.pop() if len(found) == 1 else None


def _linear(recipe: MergeRecipe, layers: int | None) -> Said:
    _check_factors(recipe)
    times = 1.0
    if recipe.parameters["divide"] == "coefficients":
        numbers = [m.coefficient for m in recipe.models if isinstance(m.coefficient, float)]
        if len(numbers) < len(recipe.models):
            return Said("linear", _weights(recipe, layers), {"normalize": True})
        times = 1 / sum(numbers)
    return Said("linear", _weights(recipe, layers, times), {"normalize": False})


def _task_arithmetic(recipe: MergeRecipe, layers: int | None) -> Said:
    _check_factors(recipe)
    return Said("task_arithmetic", _weights(recipe, layers), {"normalize": False})


def _slerp(recipe: MergeRecipe, layers: int | None) -> Said:
    _check_factors(recipe)
    return Said("slerp", [{} for _ in recipe.models], {"t": recipe.parameters["position"]})


_ROUNDED = "Up to ties in rank, undecided signs, and one element a tensor: mergekit rounds k down."


def _ties(recipe: MergeRecipe, layers: int | None) -> Said:
    _check_factors(recipe)
    return _ties_of(recipe, layers, [recipe.parameters["density"]] * len(recipe.models))


def _ties_of(recipe: MergeRecipe, layers: int | None, densities: Sequence[float]) -> Said:
    given, same = recipe.parameters, _same(recipe)
    parameters = {"normalize": given["divide"] != "nothing", "lambda": given["scale"]}
    models = _weights(recipe, layers)
    if given["semantics"] == "paper":
        if given["trim"] == "model":
            raise NoCounterpart(
                "ties trims over the whole model; mergekit ranks each tensor for itself. Set "
                "`trim: tensor` to have the same here."
            )
        if same is None or same <= 0:
            raise NoCounterpart(
                "ties elects signs before it weighs; mergekit weighs before, so that unequal "
                "coefficients turn signs. Set `semantics: mergekit` to have the same here."
            )
    if given["divide"] == "number":
        if same is None or same <= 0:
            raise NoCounterpart(
                "ties divides by the number of models; mergekit by their weights, or not at all."
            )
        parameters["lambda"] = given["scale"] * same
        models = [{"weight": 1.0} for _ in recipe.models]
    said = [{**values, "density": one} for values, one in zip(models, densities, strict=True)]
    notes = (_ROUNDED,) if given["semantics"] == "paper" else ()
    return Said("ties", said, parameters, notes)


_STREAM = "Elements are dropped at random, by other draws than here: alike on average only."
_BY_SUM = "mergekit rescales survivors to each tensor's sum of |d|, not by 1/(1 - p)."


def _random(recipe: MergeRecipe, layers: int | None, divisor: float | None) -> Said:
    """DARE, or DAREx-q with its divisor."""
    if recipe.overrides:
        raise NoCounterpart("mergekit has no drop rates by module; the recipe has overrides.")
    notes = [_STREAM, _BY_SUM]
    if recipe.parameters["other_tensors"] != "prune":
        notes.append("mergekit drops in embeddings, norms and biases too.")
    models = []
    for model in recipe.models:
        kept, factor = 1 - model.levels[-1], model.amplification[-1]
        times = factor if divisor is None else factor * kept / divisor
        models.append({"weight": _weight(model, layers, times), "density": round(kept, 12)})
    return Said("dare_linear", models, {"normalize": False}, tuple(notes))


def _dare(recipe: MergeRecipe, layers: int | None) -> Said:
    return _random(recipe, layers, None)


def _darex_q(recipe: MergeRecipe, layers: int | None) -> Said:
    return _random(recipe, layers, recipe.parameters["q"])


def _dare_ties(recipe: MergeRecipe, layers: int | None) -> Said:
    _check_factors(recipe)
    given = recipe.parameters
    if given["semantics"] == "paper":
        raise NoCounterpart(
            "mergekit's dare_ties has no trim. Set `semantics: mergekit` to have the same here."
        )
    density = round(1 - given["drop"], 12)
    models = [{**values, "density": density} for values in _weights(recipe, layers)]
    return Said("dare_ties", models, {"normalize": False, "lambda": given["scale"]}, (_STREAM,))


def _breadcrumbs(recipe: MergeRecipe, layers: int | None) -> Said:
    _check_factors(recipe)
    given = recipe.parameters
    if given["ranked_in"] == "row":
        raise NoCounterpart("mergekit's breadcrumbs ranks in tensors, not in rows.")
    largest = given["drop_largest"]
    if largest == 0:
        raise NoCounterpart(
            "breadcrumbs without outliers dropped (gamma: 0) drops every delta in mergekit. Use "
            "the method ties, or drop some."
        )
    density = round(1 - given["drop_smallest"] - largest, 12)
    if density <= 0:
        raise NoCounterpart("breadcrumbs: nothing is left between the two ends.")
    models = [
        {**values, "density": density, "gamma": largest} for values in _weights(recipe, layers)
    ]
    parameters = {"normalize": False, "lambda": given["scale"]}
    return Said("breadcrumbs", models, parameters, (_ROUNDED,))


def _della(recipe: MergeRecipe, layers: int | None) -> Said:
    _check_factors(recipe)
    given, notes = recipe.parameters, [_STREAM]
    if given["semantics"] == "paper":
        notes.append("mergekit rescales all survivors of a tensor alike, not each by its chance.")
        if _same(recipe) is None:
            notes.append("mergekit weighs before it elects signs.")
    values = {"density": round(1 - given["drop"], 12), "epsilon": given["window"] / 2}
    models = [{**weight, **values} for weight in _weights(recipe, layers)]
    parameters = {"normalize": True, "lambda": given["scale"]}
    return Said("della", models, parameters, tuple(notes))


def _sce(recipe: MergeRecipe, layers: int | None) -> Said:
    _check_factors(recipe)
    if _same(recipe) != 1:
        raise NoCounterpart("mergekit's sce has no weights: all coefficients must be 1.")
    given = recipe.parameters
    notes: tuple[str, ...] = ("Up to ties in rank, and one element a tensor: k is rounded down.",)
    if given["semantics"] == "reference":
        raise NoCounterpart("mergekit's sce merges selected elements only; the reference all.")
    if given["semantics"] == "paper":
        notes += (
            "mergekit gives all models the same weight where their mean squares add up to less "
            "than 1e-6, and an undecided sign is plus.",
        )
    return Said("sce", [{} for _ in recipe.models], {"select_topk": given["density"]}, notes)


def _staged(recipe: MergeRecipe, layers: int | None) -> Said:
    """A pruning before ties is mergekit's ties with a density for each model."""
    prune = recipe.prune
    plain = all(len(m.levels) == 1 and m.amplification == (1.0,) for m in recipe.models)
    if (
        prune is None
        or (recipe.method, prune.method, plain) != ("ties", "magnitude", True)
        or prune.parameters["other_tensors"] != "prune"
        or recipe.parameters["density"] != 1
        or recipe.overrides
    ):
        raise NoCounterpart(
            "mergekit has nothing that goes before a method. Of prunings, `prune: {method: "
            "magnitude, other_tensors: prune}` before ties with density 1 can be said there."
        )
    densities = [round(1 - model.levels[0], 12) for model in recipe.models]
    said = _ties_of(recipe, layers, densities)
    return Said(said.method, said.models, said.parameters, (_ROUNDED,))


_METHODS: Mapping[str, Callable[[MergeRecipe, int | None], Said]] = {
    "linear": _linear,
    "slerp": _slerp,
    "task_arithmetic": _task_arithmetic,
    "ties": _ties,
    "dare": _dare,
    "darex_q": _darex_q,
    "dare_ties": _dare_ties,
    "breadcrumbs": _breadcrumbs,
    "della": _della,
    "sce": _sce,
}
