"""Passthrough: one model as it is, most often a stack of layers of several models."""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.errors import InvalidRecipe, InvalidValue
from dppa_core.methods.shared.contract import Coefficients, Method
from dppa_core.methods.shared.treatment import Replacement, Request, Treatments


@dataclass(frozen=True, slots=True)
class PassthroughParameters:
    """Passthrough has no settings besides the coefficient."""


def passthrough(request: Request, parameters: object) -> Treatments:
    """Every tensor of the model times its coefficient; the base is what it is compared with."""
    if request.overrides:
        raise InvalidRecipe(
            f"overrides: passthrough prunes nothing, so {min(request.overrides)!r} cannot have a "
            "rate. Remove the overrides, or choose the method dppa or magnitude."
        )
    factor = request.amplification[-1]
    modules = {module.tensor: Replacement(factor) for module in request.modules}
    return Treatments(modules, Replacement())


def check_single(parameters: object, models: Coefficients) -> None:
    """Refuse several models: there is nothing to add."""
    if len(models) != 1:
        raise InvalidValue(
            f"passthrough takes one model as it is, got {len(models)}. Layers of several models "
            "are one model: stack:zoo:base[0:3],zoo:math[1:4]."
        )


METHOD = Method(
    name="passthrough",
    title="Passthrough",
    paper="",
    summary="Takes one model as it is, such as a stack of layers of several models; a coefficient "
    "scales its weights.",
    group="stacked",
    home="A stack of layers, or one model scaled.",
    parameters=PassthroughParameters,
    treat=passthrough,
    replaces=True,
    rounds=True,
    check=check_single,
)
