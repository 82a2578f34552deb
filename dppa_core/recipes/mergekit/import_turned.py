"""Imports mergekit's methods that turn models by angles, or take over some of their changes."""

from __future__ import annotations

from typing import Any

from dppa_core.recipes.mergekit.reader import MergekitSource
from dppa_core.recipes.mergekit.targets import Importers, Target


def _slerp(source: MergekitSource) -> Target:
    position, firsts = source.coefficient("t"), [1.0] * (len(source.models) - 1)
    if isinstance(position, float):
        return Target("slerp", [*firsts, 1.0], {"position": position})
    return Target("slerp", [*firsts, position], {"position": 1.0})


def _passthrough(source: MergekitSource) -> Target:
    scales = [source.coefficient("scale", model, default=1.0) for _, model in source.models]
    return Target("passthrough", scales)


def _nearswap(source: MergekitSource) -> Target:
    t, firsts = source.coefficient("t"), [1.0] * (len(source.models) - 1)
    if isinstance(t, float):
        return Target("nearswap", [*firsts, 1.0], {"t": t})
    return Target("nearswap", [*firsts, t], {"t": 1.0})


def _arcee_fusion(source: MergekitSource) -> Target:
    source.note(
        "mergekit finds the quartiles of a tensor above a million elements in a sample; here they "
        "are exact. It computes importance in the recipe's dtype, here in float64."
    )
    return Target("arcee_fusion", [1.0] * len(source.models))


def _model_stock(source: MergekitSource) -> Target:
    by_row = source.flag("filter_wise", False)
    parameters = {"angles_of": "row" if by_row else "tensor"}
    return Target("model_stock", [1.0] * len(source.models), parameters)


def _turned(source: MergekitSource) -> dict[str, Any]:
    return {"turned": "deltas" if source.names_base else "models"}


def _nuslerp(source: MergekitSource) -> Target:
    vectors = "column" if source.flag("nuslerp_row_wise", False) else "row"
    if source.flag("nuslerp_flatten", True):
        vectors = "tensor"
    return Target("nuslerp", source.weights(), {**_turned(source), "vectors": vectors})


def _multislerp(source: MergekitSource) -> Target:
    divide = "coefficients" if source.flag("normalize_weights", True) else "nothing"
    parameters = {"divide": divide, "eps": source.number("eps", 1e-8)}
    weights = source.weights() if len(source.models) > 1 else [1.0]  # a single model is copied
    return Target("multislerp", weights, _turned(source) | parameters)


def _karcher(source: MergekitSource) -> Target:
    parameters = {"max_iter": source.number("max_iter", 10), "tol": source.number("tol", 1e-5)}
    return Target("karcher", [1.0] * len(source.models), parameters)


def _ram(source: MergekitSource) -> Target:
    parameters = {"epsilon": source.number("epsilon", 1e-5)}
    return Target("ram", [1.0] * len(source.models), parameters)


def _ramplus_tl(source: MergekitSource) -> Target:
    usual = {"r": 0.1, "alpha": 0.2, "epsilon": 1e-5}
    parameters = {name: source.number(name, value) for name, value in usual.items()}
    return Target("ramplus_tl", [1.0] * len(source.models), parameters)


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
