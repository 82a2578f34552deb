"""DARE: drop elements at random and rescale the others (arXiv:2311.03099).

Knows no profile and no weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.density import other_tensors_choice
from dppa_core.errors import UnknownName, did_you_mean
from dppa_core.methods.method import Method
from dppa_core.methods.treatment import (
    Dropped,
    RandomDrop,
    Request,
    Treatment,
    Treatments,
    treat_others,
)
from dppa_core.parameters import check_fields


@dataclass(frozen=True, slots=True)
class DareParameters:
    """Settings of DARE; the paper drops in every tensor."""

    other_tensors: str = other_tensors_choice("prune")

    def __post_init__(self) -> None:
        check_fields(self)


def dare(request: Request, parameters: DareParameters) -> Treatments:
    """Every element is dropped with the rate p, survivors are divided by 1 - p."""
    rate, factor = request.levels[-1], request.amplification[-1]
    rates = {module.name: rate for module in request.modules}
    for name, override in request.overrides.items():
        if name not in rates:
            raise UnknownName(f"overrides: no module {name!r}. {did_you_mean(name, rates)}")
        rates[name] = override.rate
    modules = {m.tensor: _drop(rates[m.name], factor) for m in request.modules}
    return Treatments(modules, treat_others(parameters.other_tensors, _drop(rate, factor)))


def _drop(rate: float, factor: float) -> Treatment:
    return RandomDrop(rate, factor / (1 - rate)) if rate < 1 else Dropped()


METHOD = Method(
    name="dare",
    title="DARE",
    paper="arXiv:2311.03099",
    summary="Drops delta entries at random and rescales the others so that their mean stays.",
    parameters=DareParameters,
    treat=dare,
    levels="one",
)
