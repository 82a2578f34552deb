"""Task arithmetic: the whole delta, times the coefficient (arXiv:2212.04089)."""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.errors import InvalidRecipe
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.treatment import Request, Treatments, WholeTreatment


@dataclass(frozen=True, slots=True)
class TaskArithmeticParameters:
    """Task arithmetic has no settings besides the coefficients."""


def task_arithmetic(request: Request, parameters: object) -> Treatments:
    """Prune nothing; the single amplification factor applies to modules, as in every method."""
    if request.overrides:
        raise InvalidRecipe(
            f"overrides: task_arithmetic prunes nothing, so {min(request.overrides)!r} cannot have "
            "a rate. Remove the overrides, or choose the method dppa or magnitude."
        )
    factor = request.amplification[-1]
    return Treatments(
        {module.tensor: WholeTreatment(factor) for module in request.modules}, WholeTreatment()
    )


METHOD = Method(
    name="task_arithmetic",
    title="Task arithmetic",
    paper="arXiv:2212.04089",
    summary="Adds the whole delta of every domain model, times its coefficient.",
    group="linear",
    home="Few models whose tasks hardly meet; the first to try.",
    parameters=TaskArithmeticParameters,
    treat=task_arithmetic,
    rounds=True,
)
