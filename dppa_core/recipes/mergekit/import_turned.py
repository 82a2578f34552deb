"""Imports mergekit's methods that turn models by angles, or take over some of their changes."""

from __future__ import annotations

from typing import Any

from dppa_core.recipes.mergekit.reader import MergekitSource
from dppa_core.recipes.mergekit.targets import Importers, MethodHere


def _slerp(source: MergekitSource) -> MethodHere:
    position, firsts = source.coefficient("t"), [1.0] * (len(source.models) - 1)
    if isinstance(position, float):
        return MethodHere("slerp", [*firsts, 1.0], {"position": position})
    return MethodHere("slerp", [*firsts, position], {"position": 1.0})


def _passthrough(source: MergekitSource) -> MethodHere:
    scales = [source.coefficient("scale", model, default=1.0) for _, model in source.models]
    return MethodHere("passthrough", scales)


def _nearswap(source: MergekitSource) -> MethodHere:
    t, firsts = source.coefficient("t"), [1.0] * (len(source.models) - 1)
    if isinstance(t, float):
        return MethodHere("nearswap", [*firsts, 1.0], {"t": t})
    return MethodHere("nearswap", [*firsts, t], {"t": 1.0})


def _arcee_fusion(source: MergekitSource) -> MethodHere:
    source.note(
        "mergekit finds the quartiles of a tensor above a million elements in a sample; here they "
        "are exact. Its importance is of the recipe's dtype, whose rounding decides where a row "
        "changed little; here it is float64."
    )
    return MethodHere("arcee_fusion", [1.0] * len(source.models))


def _model_stock(source: MergekitSource) -> MethodHere:
    by_row = source.flag("filter_wise", False)
    parameters = {"angles_of": "row" if by_row else "tensor"}
    return MethodHere("model_stock", [1.0] * len(source.models), parameters)


def _turned(source: MergekitSource) -> dict[str, Any]:
    return {"turned": "deltas" if source.names_base else "models"}


def _nuslerp(source: MergekitSource) -> MethodHere:
    vectors = "column" if source.flag("nuslerp_row_wise", False) else "row"
    if source.flag("nuslerp_flatten", True):
        vectors = "tensor"
    return MethodHere("nuslerp", source.weights(), {**_turned(source), "vectors": vectors})


def _multislerp(source: MergekitSource) -> MethodHere:
    divide = "coefficients" if source.flag("normalize_weights", True) else "nothing"
    parameters = {"divide": divide, "eps": source.number("eps", 1e-8)}
    weights = source.weights() if len(source.models) > 1 else [1.0]  # a single model is copied
    return MethodHere("multislerp", weights, _turned(source) | parameters)


def _karcher(source: MergekitSource) -> MethodHere:
    parameters = {"max_iter": source.number("max_iter", 10), "tol": source.number("tol", 1e-5)}
    return MethodHere("karcher", [1.0] * len(source.models), parameters)


def _ram(source: MergekitSource) -> MethodHere:
    parameters = {"epsilon": source.number("epsilon", 1e-5)}
    return MethodHere("ram", [1.0] * len(source.models), parameters)


def _ramplus_tl(source: MergekitSource) -> MethodHere:
    usual = {"r": 0.1, "alpha": 0.2, "epsilon": 1e-5}
    parameters = {name: source.number(name, value) for name, value in usual.items()}
    return MethodHere("ramplus_tl", [1.0] * len(source.models), parameters)


TURNED: Importers = {
    "slerp": (("t",), _slerp),
    "nuslerp": (("weight", "nuslerp_row_wise", "nuslerp_flatten"), _nuslerp),
    "multislerp": (("weight", "normalize_weights", "eps"), _multislerp),
    "karcher": (("max_iter", "tol"), _karcher),
    "model_stock": (("filter_wise",), _model_stock),
    "nearswap": (("t",), _nearswap),
    "arcee_fusion": ((), _arcee_fusion),
    "passthrough": (("scale",), _passthrough),
    "ram": (("epsilon",), _ram),
    "ramplus_tl": (("r", "alpha", "epsilon"), _ramplus_tl),
}
