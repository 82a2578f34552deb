"""Our methods that add, prune and elect in mergekit's terms, or the reason why it has none.

The rules are from mergekit's documentation and version 0.1.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dppa_core.errors import NoCounterpart
from dppa_core.methods.linear import NO_MEAN
from dppa_core.recipes.mergekit.exporting.method_in_mergekit import Exporters, MethodInMergekit
from dppa_core.recipes.mergekit.exporting.weights import (
    Blocks,
    coefficient_sums,
    own_values,
    plain,
    same_coefficient,
    weight_of,
    weights_of,
)
from dppa_core.recipes.yaml_text import MergeRecipe


def _linear(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    weights = weights_of(recipe, blocks)
    if recipe.parameters["divide"] == "nothing":
        return MethodInMergekit("linear", weights, {"normalize": False}, from_base=False)
    sums = coefficient_sums(recipe, blocks)
    if min(map(abs, sums)) < NO_MEAN:
        raise NoCounterpart(
            "linear divides by the sum of coefficients, which is 0: the base stays then, where "
            "mergekit divides by 0. Set `divide: nothing`, or other coefficients."
        )
    if len(sums) > 1:
        return MethodInMergekit("linear", weights, {"normalize": True}, from_base=False)
    weights = weights_of(recipe, blocks, 1 / sums[0])
    return MethodInMergekit("linear", weights, {"normalize": False}, from_base=False)


def _task_arithmetic(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    return MethodInMergekit("task_arithmetic", weights_of(recipe, blocks), {"normalize": False})


_ROUNDED = "Up to ties in rank, undecided signs, and one element a tensor: mergekit rounds k down."


def _ties(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    return _ties_of(recipe, blocks, own_values(recipe, blocks, ["density"]))


def _ties_of(
    recipe: MergeRecipe, blocks: Blocks | None, densities: Sequence[Any]
) -> MethodInMergekit:
    settings, same = recipe.parameters, same_coefficient(recipe)
    (scale, *_) = own_values(recipe, blocks, ["scale"])
    parameters = {"normalize": settings["divide"] != "nothing", "lambda": scale}
    models = weights_of(recipe, blocks)
    if settings["semantics"] == "paper":
        if settings["ranked_in"] == "model":
            raise NoCounterpart(
                "ties trims over the whole model; mergekit ranks each tensor for itself. Set "
                "`ranked_in: tensor` to have the same here."
            )
        if same is None or same <= 0:
            raise NoCounterpart(
                "ties elects signs before it weighs; mergekit weighs before, so that unequal "
                "coefficients turn signs. Set `semantics: mergekit` to have the same here."
            )
    if settings["divide"] == "number":
        if same is None or same <= 0:
            raise NoCounterpart(
                "ties divides by the number of models; mergekit by their weights, or not at all."
            )
        (scale, *_) = own_values(recipe, blocks, ["scale"], lambda scale: scale * same)
        parameters["lambda"] = scale
        models = [{"weight": 1.0} for _ in recipe.models]
    models = [model | {"density": rate} for model, rate in zip(models, densities, strict=True)]
    notes = (_ROUNDED,) if settings["semantics"] == "paper" else ()
    return MethodInMergekit("ties", models, parameters | _rescale(recipe, False), notes)


def _rescale(recipe: MergeRecipe, usual: bool) -> dict[str, bool]:
    """mergekit's flag if it is not as usual there; only its semantics have it here."""
    settings = recipe.settings()
    rescales = settings.rescale == "yes"
    return {} if settings.semantics == "paper" or rescales == usual else {"rescale": rescales}


_STREAM = "Elements are dropped at random, by other draws than here: alike on average only."
_BY_SUM = "mergekit rescales survivors to each tensor's sum of |d|, not by 1/(1 - p)."


def _dare(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    """DARE, or DAREx-q with its divisor q."""
    divisor = recipe.parameters.get("q")
    if recipe.overrides:
        raise NoCounterpart("mergekit has no drop rates by module; the recipe has overrides.")
    others = recipe.parameters["other_tensors"]
    if others == "drop":
        raise NoCounterpart(
            "mergekit adds the deltas of embeddings, norms and biases too; the recipe says "
            "`other_tensors: drop`."
        )
    notes = [_STREAM, _BY_SUM]
    if others == "keep":
        notes.append("mergekit drops in embeddings, norms and biases too.")
    models = []
    for model in recipe.models:
        kept, factor = 1 - model.levels[-1], model.amplification[-1]
        times = plain(factor if divisor is None else factor * kept / divisor)
        if times != 1 and others != "prune":
            raise NoCounterpart(
                f"model {model.model!r}: survivors in modules are multiplied by {times:g} beyond "
                "what DARE makes of them, other tensors by 1; mergekit's weight is of all tensors. "
                "Set `other_tensors: prune` to have the same here."
            )
        models.append({"weight": weight_of(model, blocks, times), "density": round(kept, 12)})
    return MethodInMergekit("dare_linear", models, {"normalize": False}, tuple(notes))


def _dare_ties(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    settings = recipe.parameters
    if settings["semantics"] == "paper":
        raise NoCounterpart(
            "mergekit's dare_ties has no trim. Set `semantics: mergekit` to have the same here."
        )
    densities = own_values(recipe, blocks, ["drop"], _kept)
    return _sparse(recipe, blocks, "dare_ties", True, (_STREAM,), density=densities)


def _kept(drop: float) -> float:
    return 1 - drop


def _sparse(
    recipe: MergeRecipe,
    blocks: Blocks | None,
    method: str,
    rescale: bool,
    notes: tuple[str, ...],
    **values: list[Any],
) -> MethodInMergekit:
    """A method with a drop; each of the values has one number a model."""
    settings = recipe.settings()
    models = [
        {**weight, **{name: listed[number] for name, listed in values.items()}}
        for number, weight in enumerate(weights_of(recipe, blocks))
    ]
    (scale, *_) = own_values(recipe, blocks, ["scale"])
    parameters = {"normalize": settings.divide == "coefficients", "lambda": scale}
    return MethodInMergekit(method, models, parameters | _rescale(recipe, rescale), notes)


def _breadcrumbs(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    settings = recipe.settings()
    paper = settings.semantics == "paper"
    if settings.ranked_in == "row" and paper:
        raise NoCounterpart("mergekit's breadcrumbs ranks in tensors, not in rows.")
    densities = own_values(recipe, blocks, ["drop_smallest", "drop_largest"], _between)
    gammas = own_values(recipe, blocks, ["drop_largest"])
    if any(isinstance(density, float) and density <= 0 for density in densities):
        raise NoCounterpart("breadcrumbs: nothing is left between the two ends.")
    method = "breadcrumbs_ties" if settings.signs == "elected" and not paper else "breadcrumbs"
    notes = (*((_ROUNDED,) if paper else ()), _NO_GAMMA)
    return _sparse(recipe, blocks, method, False, notes, density=densities, gamma=gammas)


_NO_GAMMA = "mergekit before 0.1.5 drops a whole delta of which gamma is less than one element."


def _between(smallest: float, largest: float) -> float:
    return 1 - smallest - largest


def _della(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    settings, notes = recipe.settings(), [_STREAM]
    if settings.semantics == "paper":
        notes.append("mergekit rescales all survivors of a tensor alike, not each by its chance.")
        if same_coefficient(recipe) is None and recipe.method == "della":
            notes.append("mergekit weighs before it elects signs.")
    densities = own_values(recipe, blocks, ["drop"], _kept)
    halves = own_values(recipe, blocks, ["window"], lambda window: window / 2)
    for density, half in zip(densities, halves, strict=True):
        plain_numbers = isinstance(density, float) and isinstance(half, float)
        if plain_numbers and density < 1 and not half < density < 1 - half:
            raise NoCounterpart(
                f"mergekit wants chances above 0 and below 1, so a window below "
                f"{2 * min(density, 1 - density):.4g} at this drop rate; the recipe has "
                f"{2 * half:g}."
            )
    if recipe.method == "della_linear" and not any(halves):
        return _sparse(recipe, blocks, "dare_linear", True, tuple(notes), density=densities)
    chances = {"density": densities, "epsilon": halves}
    return _sparse(recipe, blocks, recipe.method, True, tuple(notes), **chances)


def _sce(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    if same_coefficient(recipe) != 1:
        raise NoCounterpart("mergekit's sce has no weights: all coefficients must be 1.")
    settings = recipe.parameters
    notes: tuple[str, ...] = ()
    if settings["semantics"] == "reference":
        raise NoCounterpart("mergekit's sce merges selected elements only; the reference all.")
    if settings["semantics"] == "paper":
        notes = (
            "Up to ties in rank, and one element a tensor: mergekit rounds k down.",
            "mergekit gives all models the same weight where their mean squares add up to less "
            "than 1e-6, and an undecided sign is plus.",
        )
    (density, *_) = own_values(recipe, blocks, ["density"])
    return MethodInMergekit("sce", [{} for _ in recipe.models], {"select_topk": density}, notes)


def staged(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    """A pruning before ties, as mergekit's ties with a density for each model."""
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
    merge = _ties_of(recipe, blocks, densities)
    return MethodInMergekit(merge.method, merge.models, merge.parameters, (_ROUNDED,))


UNSCALED = ("dare", "darex_q")
"""Methods whose factors are part of a weight."""

PRUNED: Exporters = {
    "linear": _linear,
    "task_arithmetic": _task_arithmetic,
    "ties": _ties,
    "dare": _dare,
    "darex_q": _dare,
    "dare_ties": _dare_ties,
    "breadcrumbs": _breadcrumbs,
    "della": _della,
    "della_linear": _della,
    "sce": _sce,
}
