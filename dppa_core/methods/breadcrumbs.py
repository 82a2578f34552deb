"""Model Breadcrumbs: drop the smallest and the largest elements (arXiv:2312.06795).

Ranked in tensors, it is magnitude pruning with the factor 0 for the first partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import ranked_in, scale
from dppa_core.methods.shared.ranking import find_cuts, inside, ranks
from dppa_core.methods.shared.stack import Combination, Rows, Stack, Streamed
from dppa_core.parameter_fields import Parameters, number
from dppa_core.pruning.tie_breaking import Cut


@dataclass(frozen=True, slots=True)
class BreadcrumbsParameters(Parameters):
    """Settings of Model Breadcrumbs; the defaults are the published ones."""

    drop_smallest: float = number(
        0.9,
        title="Smallest dropped",
        text="The share of each delta's elements, the smallest, that is dropped (beta).",
        unit="share",
        span=(0.0, 1.0, 0.01),
    )
    drop_largest: float = number(
        0.01,
        title="Largest dropped",
        text="The share of outliers, the largest, that is dropped (1 - gamma in the paper, gamma "
        "in mergekit).",
        unit="share",
        span=(0.0, 1.0, 0.01),
    )
    ranked_in: str = ranked_in(
        "Each tensor, as in the paper, or each row, as in the authors' program.", "tensor", "row"
    )
    scale: float = scale(0.4)


Borders: TypeAlias = dict[str, tuple[tuple[Cut, ...], tuple[Cut, ...]]]


def survey_breadcrumbs(tensors: Sequence[Streamed], parameters: BreadcrumbsParameters) -> Borders:
    """Tensor -> the borders of kept and of too large elements, one per model."""
    if parameters.ranked_in == "row":
        return {}
    borders = {}
    for tensor in tensors:
        shares = 1 - parameters.drop_smallest, parameters.drop_largest
        counts = [round(share * tensor.numel) for share in shares for _ in range(tensor.models)]
        cuts = find_cuts((tensor,), counts, lambda stack: np.concatenate([stack.deltas] * 2))
        borders[tensor.name] = cuts[: tensor.models], cuts[tensor.models :]
    return borders


def breadcrumbs(stack: Stack, parameters: BreadcrumbsParameters, borders: Borders) -> Rows:
    """The scaled sum of the elements that are neither too small nor too large."""
    total = np.zeros_like(stack.base)
    for model, coefficient in enumerate(stack.coefficients):
        if parameters.ranked_in == "row":
            kept = _kept_in_rows(stack, model, parameters)
        else:
            size = np.abs(stack.deltas[model])
            small, large = (cuts[model] for cuts in borders[stack.name])
            kept = inside(size, small, stack) & ~inside(size, large, stack)
        weight = np.float32(coefficient * parameters.scale)
        total += np.where(kept, weight * stack.deltas[model], np.float32(0))
    return total


def _kept_in_rows(
    stack: Stack, model: int, parameters: BreadcrumbsParameters
) -> Bool[ndarray, "rows columns"]:
    width = stack.base.shape[1]
    rank = ranks(np.abs(stack.deltas[model]), stack)
    low = width - round((1 - parameters.drop_smallest) * width)
    high = width - round(parameters.drop_largest * width)
    return np.asarray((rank >= low) & (rank < high))


METHOD = Method(
    name="breadcrumbs",
    title="Model Breadcrumbs",
    paper="arXiv:2312.06795",
    summary="Drops the smallest delta entries and the largest outliers, and adds up the rest.",
    group="sparse",
    parameters=BreadcrumbsParameters,
    combination=Combination(breadcrumbs, survey_breadcrumbs),
)
