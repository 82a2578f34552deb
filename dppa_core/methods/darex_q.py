"""DAREx-q: DARE whose survivors are rescaled less (arXiv:2410.09344).

The paper finds q on held-out data, or by the least change of the last layer's outputs. DPPA's
factors also scale survivors.
"""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.methods.dare import drop_at_random
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.treatment import Request, Treatments
from dppa_core.parameter_fields import Parameters, number
from dppa_core.pruning.pruning_parameters import other_tensors_choice


@dataclass(frozen=True, slots=True)
class DarexQParameters(Parameters):
    """Settings of DAREx-q; the paper's program for decoders keeps to the modules."""

    q: float = number(
        0.1,
        title="Divisor",
        text="Survivors are divided by this, not by the smaller share that survives.",
        unit="share",
        span=(0.001, 1.0, 0.01),
    )
    other_tensors: str = other_tensors_choice()


def darex_q(request: Request, parameters: DarexQParameters) -> Treatments:
    """The draws of dare, with survivors divided by q."""
    return drop_at_random(request, parameters.other_tensors, parameters.q)


METHOD = Method(
    name="darex_q",
    title="DAREx-q",
    paper="arXiv:2410.09344",
    summary="Drops delta entries at random and divides the others by q, less than DARE would "
    "amplify them.",
    group="sparse",
    home="Small deltas, cut further than DARE endures.",
    parameters=DarexQParameters,
    treat=darex_q,
    levels="one",
)
