"""DARE: drop elements at random and rescale the others (arXiv:2311.03099)."""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.errors import InvalidValue, UnknownName, did_you_mean
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.treatment import (
    DroppedTreatment,
    RandomDrop,
    Request,
    Treatment,
    Treatments,
    treat_others,
)
from dppa_core.parameter_fields import Parameters
from dppa_core.pruning.pruning_parameters import other_tensors_choice


@dataclass(frozen=True, slots=True)
class DareParameters(Parameters):
    """Settings of DARE; the paper drops in every tensor."""

    other_tensors: str = other_tensors_choice("prune")


def dare(request: Request, parameters: DareParameters) -> Treatments:
    """Drop every element with the rate p, and divide survivors by 1 - p."""
    return drop_at_random(request, parameters.other_tensors)


def drop_at_random(
    request: Request, other_tensors: str, divisor: float | None = None
) -> Treatments:
    """Drop at the last level's rate, or a module's own, and divide survivors.

    Args:
        other_tensors: Their treatment: keep, prune or drop.
        divisor: Divisor of survivors; None for the share that survives.

    Raises:
        UnknownName: an override of an unknown module.
        InvalidValue: a divisor below the share that survives.
    """
    rate, factor = request.levels[-1], request.amplification[-1]
    rates = {module.name: rate for module in request.modules}
    for name, override in request.overrides.items():
        if name not in rates:
            raise UnknownName(f"overrides: no module {name!r}. {did_you_mean(name, rates)}")
        rates[name] = override.rate
    others = _drop("the pruning rate (levels)", rate, factor, divisor)
    modules = {
        m.tensor: _drop(f"the rate of {m.name}", rates[m.name], factor, divisor)
        for m in request.modules
    }
    return Treatments(modules, treat_others(other_tensors, others))


def _drop(label: str, rate: float, factor: float, divisor: float | None) -> Treatment:
    kept = 1 - rate
    if divisor is not None and divisor < kept - 1e-9:
        raise InvalidValue(
            f"q must be at least the share that survives, {kept:g}, got {divisor:g}: dividing by "
            f"less amplifies more than DARE does. Too low is {label}; the paper's are 0.9 and more."
        )
    return RandomDrop(rate, factor / (divisor or kept)) if rate < 1 else DroppedTreatment()


METHOD = Method(
    name="dare",
    title="DARE",
    paper="arXiv:2311.03099",
    summary="Drops delta entries at random and rescales the others so that their mean stays.",
    group="sparse",
    home="Small deltas: most of each may go.",
    parameters=DareParameters,
    treat=dare,
    levels="one",
)
