"""Localize-and-Stitch, dataless: largest changes, averaged where they meet (arXiv:2408.13656)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import density, scale
from dppa_core.methods.shared.ranking import find_cuts, inside
from dppa_core.methods.shared.stack import Combination, Rows, Stack, Streamed
from dppa_core.parameter_fields import Parameters
from dppa_core.pruning.tie_breaking import Cut


@dataclass(frozen=True, slots=True)
class LocalizeAndStitchParameters(Parameters):
    """Settings of Localize-and-Stitch; the default density is the paper's."""

    density: float = density(0.05, "The share of each model's elements that is kept, the largest.")
    scale: float = scale(1.0)


def survey_regions(
    tensors: Sequence[Streamed], parameters: LocalizeAndStitchParameters
) -> tuple[Cut, ...]:
    """The border of each model over all tensors; empty if everything is kept."""
    if parameters.density >= 1:
        return ()
    numel, models = sum(tensor.numel for tensor in tensors), tensors[0].models
    counts = [round(parameters.density * numel)] * models
    return find_cuts(tensors, counts, lambda stack: stack.deltas)


def localize_and_stitch(
    stack: Stack, parameters: LocalizeAndStitchParameters, cuts: tuple[Cut, ...]
) -> Rows:
    """The mean of the kept changes at each element, coefficients included."""
    total, count = np.zeros_like(stack.base), np.zeros_like(stack.base)
    for model, delta in enumerate(stack.weighted()):
        kept = (
            inside(np.abs(stack.deltas[model]), cuts[model], stack)
            if cuts
            else np.ones(delta.shape, bool)
        )
        total += np.where(kept, delta, np.float32(0))
        count += kept
    return np.asarray(np.float32(parameters.scale) * total / np.maximum(count, 1))


METHOD = Method(
    name="localize_and_stitch",
    title="Localize-and-Stitch",
    paper="arXiv:2408.13656",
    summary="Keeps each model's largest changes in the whole model, and averages where they meet.",
    group="sparse",
    home="Models whose skills lie in few elements.",
    parameters=LocalizeAndStitchParameters,
    combination=Combination(
        localize_and_stitch, survey_regions, whole_model=lambda parameters: True
    ),
)
