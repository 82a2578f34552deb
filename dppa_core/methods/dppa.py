"""DPPA: densities by significance, partitions amplified (arXiv:2403.02799)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from dppa_core.errors import InvalidValue
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.treatment import (
    Banded,
    Ranked,
    Request,
    Treatments,
    WholeTreatment,
    treat_others,
)
from dppa_core.parameter_fields import choice
from dppa_core.pruning.pruning_parameters import PruningParameters


@dataclass(frozen=True, slots=True)
class DppaParameters(PruningParameters):
    """Settings of DPPA; the defaults are the paper's."""

    semantics: str = choice(
        "paper",
        title="Semantics",
        text="authors: as their program computes. A factor that is larger in magnitude also holds "
        "for stronger partitions; embeddings and norms that are kept take the largest; elements "
        "equal to a threshold are pruned; deltas and products are rounded to bfloat16.",
        choices=("paper", "authors"),
        later=True,
    )

    @property
    def pruning(self) -> PruningParameters:
        """The settings of Dynamically Pruning alone."""
        names = [item.name for item in fields(PruningParameters)]
        given = PruningParameters(**{name: getattr(self, name) for name in names})
        return replace(given, ties="prune") if self.semantics == "authors" else given


def dppa(request: Request, parameters: PruningParameters, rounded: bool = False) -> Treatments:
    """Keep the most significant elements of every module, in partitions with one factor each.

    Args:
        rounded: Round deltas and products to bfloat16, and give what is never pruned the strongest
            partition's factor.
    """
    if request.profile is None:
        raise InvalidValue("dppa needs the profile of the pair; none was given.")
    plan = request.planner(request.profile, request.levels, parameters, request.overrides)
    tensors = [item.module.tensor for item in request.profile.modules]
    factors = request.amplification
    modules = {
        tensor: Banded(tuple(level.selection for level in module.levels), factors, rounded)
        for tensor, module in zip(tensors, plan.modules, strict=True)
    }
    pruned = Ranked(request.levels, factors, parameters.ties, rounded)
    kept = WholeTreatment(factors[0], True) if rounded else WholeTreatment()
    return Treatments(modules, treat_others(parameters.other_tensors, pruned, kept), plan)


def dppa_of(request: Request, parameters: DppaParameters) -> Treatments:
    """As `dppa`, or as the authors' program computes it."""
    if parameters.semantics == "paper":
        return dppa(request, parameters.pruning)
    factors = lifted(request.amplification)
    return dppa(replace(request, amplification=factors), parameters.pruning, rounded=True)


def lifted(factors: Sequence[float]) -> tuple[float, ...]:
    """The factor of each partition where the larger product wins, the strongest first.

    The elements of a partition are in all weaker levels, too; the authors' program multiplies every
    level by its own factor and takes the element of largest magnitude.
    """
    return tuple(max(factors[place:], key=abs) for place in range(len(factors)))


METHOD = Method(
    name="dppa",
    title="DPPA",
    paper="arXiv:2403.02799",
    summary="Keeps the largest delta entries, more in significant layers and modules; each "
    "partition has an amplification factor.",
    parameters=DppaParameters,
    treat=dppa_of,
    levels="many",
    needs_profile=True,
)
