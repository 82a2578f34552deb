"""Our methods that turn models by angles in mergekit's terms, and those that take over changes."""

from __future__ import annotations

from typing import Any

from dppa_core.errors import NoCounterpart
from dppa_core.recipes.mergekit.exporting.method_in_mergekit import Exporters, MethodInMergekit
from dppa_core.recipes.mergekit.exporting.weights import (
    Blocks,
    same_coefficient,
    weight_of,
    weights_of,
)
from dppa_core.recipes.yaml_text import MergeRecipe


def _slerp(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    position = weight_of(recipe.models[-1], blocks, recipe.parameters["position"])
    return MethodInMergekit("slerp", [{} for _ in recipe.models], {"t": position})


def _passthrough(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    scale = weight_of(recipe.models[0], blocks)
    own = {} if scale == 1 else {"scale": scale}
    return MethodInMergekit("passthrough", [own], {}, from_base=False)


def _nearswap(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    t = weight_of(recipe.models[-1], blocks, recipe.parameters["t"])
    return MethodInMergekit("nearswap", [{} for _ in recipe.models], {"t": t})


def _arcee_fusion(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    notes = (
        "mergekit finds the quartiles of a tensor above a million elements in a sample, and "
        "computes importance in float32, whose rounding decides where a row changed little.",
    )
    return _unweighted(recipe, {}, notes)


def _unweighted(
    recipe: MergeRecipe, parameters: dict[str, Any], notes: tuple[str, ...] = ()
) -> MethodInMergekit:
    """A method of the same name, which has no weights in mergekit."""
    if same_coefficient(recipe) != 1:
        raise NoCounterpart(
            f"mergekit's {recipe.method} has no weights: all coefficients must be 1."
        )
    return MethodInMergekit(recipe.method, [{} for _ in recipe.models], parameters, notes)


def _model_stock(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    if len(recipe.models) < 2:
        raise NoCounterpart("mergekit's model_stock needs two models beside the base.")
    return _unweighted(recipe, {"filter_wise": recipe.parameters["angles_of"] == "row"})


def _nuslerp(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    if len(recipe.models) != 2:
        raise NoCounterpart("mergekit's nuslerp needs two models.")
    vectors, deltas = recipe.parameters["vectors"], recipe.parameters["turned"] == "deltas"
    parameters = {
        "nuslerp_flatten": vectors == "tensor",
        "nuslerp_row_wise": vectors == "column",
    }
    weights = weights_of(recipe, blocks)
    return MethodInMergekit("nuslerp", weights, parameters, from_base=deltas)


def _multislerp(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    if len(recipe.models) == 1:
        raise NoCounterpart("mergekit's multislerp copies a single model; it needs two.")
    settings, deltas = recipe.parameters, recipe.parameters["turned"] == "deltas"
    parameters = {
        "normalize_weights": settings["divide"] == "coefficients",
        "eps": settings["eps"],
    }
    notes: tuple[str, ...] = ()
    if len(recipe.models) > 2:
        notes = (
            "mergekit stops at a tensor in which the weighted directions cancel, also one that no "
            "model changed.",
        )
    weights = weights_of(recipe, blocks)
    return MethodInMergekit("multislerp", weights, parameters, notes, from_base=deltas)


def _karcher(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    if not same_coefficient(recipe):
        raise NoCounterpart("mergekit's karcher has no weights: all coefficients must be equal.")
    models: list[dict[str, Any]] = [{} for _ in recipe.models]
    return MethodInMergekit("karcher", models, dict(recipe.parameters), from_base=False)


def _ram(recipe: MergeRecipe, blocks: Blocks | None) -> MethodInMergekit:
    return _unweighted(recipe, dict(recipe.parameters))


TURNED: Exporters = {
    "slerp": _slerp,
    "nearswap": _nearswap,
    "arcee_fusion": _arcee_fusion,
    "model_stock": _model_stock,
    "nuslerp": _nuslerp,
    "multislerp": _multislerp,
    "karcher": _karcher,
    "ram": _ram,
    "ramplus_tl": _ram,
    "passthrough": _passthrough,
}
