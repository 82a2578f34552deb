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
from dppa_core.parameter_fields import Parameters, choice
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


def pruning(parameters: DppaParameters) -> PruningParameters:
    """The settings of Dynamically Pruning alone."""
    names = [item.name for item in fields(PruningParameters)]
    alone = PruningParameters(**{name: getattr(parameters, name) for name in names})
    return replace(alone, ties="prune") if parameters.semantics == "authors" else alone


def dppa(request: Request, parameters: Parameters) -> Treatments:
    """Keep of every module what its plan keeps, in partitions with one factor each.

    With the authors' semantics deltas and products are rounded, and what is never pruned has the
    strongest partition's factor.
    """
    if request.plan is None:
        raise InvalidValue("dppa needs the profile of the pair; none was given.")
    pruned, factors, kept = request.plan.parameters, request.amplification, WholeTreatment()
    rounded = getattr(parameters, "semantics", "paper") == "authors"
    if rounded:
        factors = lifted(factors)
        kept = WholeTreatment(factors[0], rounded)
    modules = {
        module.tensor: Banded(tuple(level.selection for level in module.levels), factors, rounded)
        for module in request.plan.modules
    }
    ranked = Ranked(request.levels, factors, pruned.ties, rounded)
    return Treatments(modules, treat_others(pruned.other_tensors, ranked, kept))


def lifted(factors: Sequence[float]) -> tuple[float, ...]:
    """The factor of each partition where the larger product wins, the strongest first.

    The elements of a partition are in all weaker bands, too; the authors' program multiplies every
    band by its own factor and takes the element of largest magnitude.
    """
    return tuple(max(factors[place:], key=abs) for place in range(len(factors)))


METHOD = Method(
    name="dppa",
    title="DPPA",
    paper="arXiv:2403.02799",
    summary="Keeps the largest delta entries, more in significant layers and modules; each "
    "partition has an amplification factor.",
    group="sparse",
    home="Deltas cut by 80 % or more, to store or send them.",
    parameters=DppaParameters,
    treat=dppa,
    pruning=pruning,
    levels="many",
)
