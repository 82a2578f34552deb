"""EMR-Merging: one unified delta, and a mask and a scale for every task (arXiv:2405.17461).

The result is not a single checkpoint: the mask depends on the task of the question, so each merge
is for one domain model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dppa_core.errors import InvalidValue, did_you_mean, shown
from dppa_core.methods.shared.contract import Coefficients, Method
from dppa_core.methods.shared.fields import semantics
from dppa_core.methods.shared.numpy_loops import elect
from dppa_core.methods.shared.stack import Combination, Rows, Stack, Streamed
from dppa_core.parameter_fields import Parameters, model_reference


@dataclass(frozen=True, slots=True)
class EmrParameters(Parameters):
    """Settings of EMR-Merging."""

    domain: str = model_reference(
        "",
        title="Domain",
        text="The domain model, as the recipe names it, whose mask and scale are applied. Merge "
        "once for each domain.",
    )
    semantics: str = semantics(
        "reference: scales compare sums of the tensors' means, not sums over the whole model, and "
        "an undecided sign is minus.",
        "reference",
    )


def unify(stack: Stack, parameters: EmrParameters) -> Rows:
    """The elected sign times the largest magnitude among deltas with that sign."""
    deltas = stack.weighted()
    signs = elect(deltas, -1 if parameters.semantics == "reference" else 0)
    largest = np.zeros_like(stack.base)
    for delta in deltas:
        np.maximum(largest, np.where(np.sign(delta) == signs, np.abs(delta), 0), out=largest)
    return np.asarray(signs * largest)


def survey_emr(tensors: Sequence[Streamed], parameters: EmrParameters) -> float:
    """The scale of the domain: the sum of its |d| over the sum that its mask leaves."""
    whole = masked = 0.0
    for tensor in tensors:
        sums = np.zeros(2)
        for stack in tensor.stacks():
            delta = _domain_delta(stack, parameters)
            kept = _masked(delta, unify(stack, parameters))
            sums += [np.abs(part).sum(dtype=np.float64) for part in (delta, kept)]
        if parameters.semantics == "reference":
            sums /= tensor.numel
        whole, masked = whole + float(sums[0]), masked + float(sums[1])
    return whole / masked if masked else 0.0


def _domain_delta(stack: Stack, parameters: EmrParameters) -> Rows:
    if parameters.domain not in stack.models:  # only by layer: an unnamed layer has 1
        raise InvalidValue(
            f"emr: the domain {shown(parameters.domain)} has the coefficient 0 at every layer, so "
            "it has no delta to be masked. A coefficient by layer that is 0 throughout is the "
            "usual cause."
        )
    return np.asarray(stack.weighted()[stack.models.index(parameters.domain)])


def _masked(delta: Rows, unified: Rows) -> Rows:
    return np.where(np.sign(delta) * np.sign(unified) > 0, unified, np.float32(0))


def emr(stack: Stack, parameters: EmrParameters, factor: float) -> Rows:
    """The scaled unified delta at positions where the domain's delta has its sign."""
    return np.float32(factor) * _masked(_domain_delta(stack, parameters), unify(stack, parameters))


def check_domain(parameters: EmrParameters, models: Coefficients) -> None:
    """Refuse a domain that is not a model of the merge."""
    names = [name for name, coefficient in models if coefficient != 0]
    if parameters.domain not in names:
        raise InvalidValue(
            "emr merges for one domain at a time: domain must name a model whose coefficient is "
            f"not 0, got {shown(parameters.domain)}. {did_you_mean(parameters.domain, names)}"
        )


METHOD = Method(
    name="emr",
    title="EMR-Merging",
    paper="arXiv:2405.17461",
    summary="Makes one unified delta, masked and scaled for one domain: a checkpoint for each.",
    group="sign",
    home="Tasks that may each have a checkpoint.",
    parameters=EmrParameters,
    combination=Combination(emr, survey_emr, lambda parameters: True),
    check=check_domain,
)
