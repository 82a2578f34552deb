"""DPPA: densities by significance, partitions amplified (arXiv:2403.02799)."""

from __future__ import annotations

from dppa_core.errors import InvalidValue
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.treatment import Banded, Ranked, Request, Treatments, treat_others
from dppa_core.pruning.pruning_parameters import PruningParameters


def dppa(request: Request, parameters: PruningParameters) -> Treatments:
    """Keep the most significant elements of every module, in partitions with one factor each."""
    if request.profile is None:
        raise InvalidValue("dppa needs the profile of the pair; none was given.")
    plan = request.planner(request.profile, request.levels, parameters, request.overrides)
    tensors = [item.module.tensor for item in request.profile.modules]
    modules = {
        tensor: Banded(tuple(level.selection for level in module.levels), request.amplification)
        for tensor, module in zip(tensors, plan.modules, strict=True)
    }
    pruned = Ranked(request.levels, request.amplification, parameters.ties)
    return Treatments(modules, treat_others(parameters.other_tensors, pruned), plan)


METHOD = Method(
    name="dppa",
    title="DPPA",
    paper="arXiv:2403.02799",
    summary="Keeps the largest delta entries, more of them in significant layers and modules; each "
    "partition of them has an amplification factor.",
    parameters=PruningParameters,
    treat=dppa,
    levels="many",
    needs_profile=True,
)
