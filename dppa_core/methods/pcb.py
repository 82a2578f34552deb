"""PCB-Merging: elements compete within and across tasks (arXiv:2410.02396)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import density, ranked_in, scale, semantics
from dppa_core.methods.shared.pcb_scores import Scores, paper_scores, reference_scores
from dppa_core.methods.shared.ranking import find_cuts, inside
from dppa_core.methods.shared.stack import Combination, Rows, Stack, Streamed
from dppa_core.parameter_fields import Parameters
from dppa_core.pruning.tie_breaking import Cut


@dataclass(frozen=True, slots=True)
class PcbParameters(Parameters):
    """Settings of PCB-Merging; the defaults are the paper's."""

    density: float = density(
        0.1, "The share of each model's elements that is kept, those of the highest score."
    )
    ranked_in: str = ranked_in(
        "What elements compete in: the whole model, or each tensor.", "model", "tensor"
    )
    scale: float = scale(1.0)
    semantics: str = semantics(
        "reference: the authors' program clamps the largest and smallest |d| and scores by "
        "exp(K |d|^2) tanh(d times the sum of all); its density is 0.05.",
        "reference",
    )


@dataclass(frozen=True, slots=True)
class PcbCompetition:
    """Statistics of the tensors that compete together."""

    scores: Scores
    cuts: tuple[Cut, ...]
    """One per model; the elements inside are kept."""
    lowest: tuple[float, ...]
    """The lowest kept score, one per model."""
    highest: tuple[float, ...]


def survey_pcb(
    tensors: Sequence[Streamed], parameters: PcbParameters
) -> Mapping[str, PcbCompetition]:
    """Tensor -> its competition."""
    if parameters.ranked_in == "model":
        return dict.fromkeys([t.name for t in tensors], _compete(tensors, parameters))
    return {tensor.name: _compete((tensor,), parameters) for tensor in tensors}


def _compete(tensors: Sequence[Streamed], parameters: PcbParameters) -> PcbCompetition:
    find = reference_scores if parameters.semantics == "reference" else paper_scores
    scores = find(tensors)
    count = round(parameters.density * sum(tensor.numel for tensor in tensors))
    models = tensors[0].models
    cuts = find_cuts(tensors, [count] * models, scores)
    lowest, highest = np.full(models, np.inf), np.zeros(models)
    for tensor in tensors:
        for stack in tensor.stacks():
            for model, (score, cut) in enumerate(zip(scores(stack), cuts, strict=True)):
                kept = score[inside(score, cut, stack)]
                lowest[model] = min(lowest[model], kept.min(initial=np.inf))
                highest[model] = max(highest[model], kept.max(initial=0.0))
    return PcbCompetition(scores, cuts, tuple(lowest.tolist()), tuple(highest.tolist()))


def pcb(
    stack: Stack, parameters: PcbParameters, competitions: Mapping[str, PcbCompetition]
) -> Rows:
    """The mean of the deltas, weighted by the scores of kept elements, scaled to [0, 1].

    The lowest kept score has the weight 0, as in the paper.
    """
    competition = competitions[stack.name]
    scores = competition.scores(stack)
    deltas = competition.scores.clamped(stack)
    total, divisor = np.zeros((2, *stack.base.shape), np.float32)
    for model, coefficient in enumerate(stack.coefficients):
        if coefficient == 0:
            continue
        kept = inside(scores[model], competition.cuts[model], stack)
        weight = np.where(kept, _scaled(scores[model], competition, model), np.float32(0))
        total += weight * np.float32(abs(coefficient)) * deltas[model]
        divisor += weight
    divisor[divisor == 0] = 1
    return np.asarray(np.float32(parameters.scale) * total / divisor)


def _scaled(score: Rows, competition: PcbCompetition, model: int) -> Rows:
    low, high = competition.lowest[model], competition.highest[model]
    if not high > low:  # all equal, or nothing kept
        return np.ones_like(score)
    return (score - np.float32(low)) / np.float32(high - low)


METHOD = Method(
    name="pcb",
    title="PCB-Merging",
    paper="arXiv:2410.02396",
    summary="Lets the entries of all deltas compete, and weighs the winners by their scores.",
    group="sign",
    home="Models that want the same weights.",
    parameters=PcbParameters,
    combination=Combination(pcb, survey_pcb, lambda parameters: parameters.ranked_in == "model"),
)
