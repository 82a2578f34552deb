"""Model Breadcrumbs: drop the smallest and the largest elements (arXiv:2312.06795).

Ranked in tensors, it is magnitude pruning with the factor 0 for the first partition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from dppa_core.errors import InvalidValue
from dppa_core.methods.shared.contract import Method
from dppa_core.methods.shared.fields import divide, ranked_in, rescale, scale, semantics
from dppa_core.methods.shared.ranking import find_cuts, inside, ranks
from dppa_core.methods.shared.rescaling import Mask, match_sums
from dppa_core.methods.shared.sparse_sum import add_agreeing, add_all
from dppa_core.methods.shared.stack import Combination, Rows, Stack, Streamed, settings_of
from dppa_core.parameter_fields import Parameters, check_fields, choice, number
from dppa_core.pruning.tie_breaking import Cut


@dataclass(frozen=True, slots=True)
class BreadcrumbsParameters(Parameters):
    """Settings of Model Breadcrumbs; the defaults are the published ones."""

    drop_smallest: float = number(
        0.9,
        title="Smallest dropped",
        text="The share of each delta's elements, the smallest, that is dropped (beta). Below 0, "
        "with the semantics of mergekit, so much less of the largest is dropped.",
        unit="share",
        span=(0.0, 1.0, 0.01),
        own=True,
        least=-1.0,
    )
    drop_largest: float = number(
        0.01,
        title="Largest dropped",
        text="The share of outliers, the largest, that is dropped (1 - gamma in the paper, gamma "
        "in mergekit).",
        unit="share",
        span=(0.0, 1.0, 0.01),
        own=True,
    )
    ranked_in: str = ranked_in(
        "Each tensor, as in the paper, or each row, as in the authors' program.", "tensor", "row"
    )
    scale: float = scale(0.4)
    semantics: str = semantics(
        "mergekit: elements are ranked in each tensor, and their counts rounded down.", later=True
    )
    signs: str = choice(
        "all",
        title="Signs",
        text="With the semantics of mergekit: add all that is left, or what agrees with the "
        "elected sign (its method breadcrumbs_ties).",
        choices=("all", "elected"),
        later=True,
    )
    divide: str = divide("nothing", later=True)
    rescale: str = rescale("no")

    def __post_init__(self) -> None:
        check_fields(self)
        if self.drop_smallest < 0 and self.semantics == "paper":
            raise InvalidValue(
                f"drop_smallest must be from 0 to 1, got {self.drop_smallest:g}; only with "
                "`semantics: mergekit` it may be less."
            )


@dataclass(frozen=True, slots=True)
class Crumbs:
    """The survey of one tensor: the borders of kept and of too large elements, one per model."""

    kept: tuple[Cut, ...]
    too_large: tuple[Cut, ...]
    factors: tuple[float, ...] = ()
    """Of each model's elements that stay; empty for 1."""


Surveys = Mapping[str, Crumbs]


def survey_breadcrumbs(tensors: Sequence[Streamed], parameters: BreadcrumbsParameters) -> Surveys:
    """Find the borders in every tensor."""
    if parameters.semantics == "paper" and parameters.ranked_in == "row":
        return {}
    return {tensor.name: _survey(tensor, parameters) for tensor in tensors}


def _survey(tensor: Streamed, parameters: BreadcrumbsParameters) -> Crumbs:
    counts = [crumb_counts(tensor.numel, own) for own in settings_of(tensor, parameters)]
    kept, large = ([count[place] for count in counts] for place in (0, 1))
    cuts = find_cuts((tensor,), [*kept, *large], lambda stack: np.concatenate([stack.deltas] * 2))
    crumbs = Crumbs(cuts[: tensor.models], cuts[tensor.models :])
    if parameters.semantics == "paper" or parameters.rescale == "no":
        return crumbs
    return replace(crumbs, factors=match_sums(tensor, partial(_between, crumbs)))


def crumb_counts(numel: int, parameters: BreadcrumbsParameters) -> tuple[int, int]:
    """The number of elements above the smallest dropped, and of the largest dropped."""
    smallest, largest = parameters.drop_smallest, parameters.drop_largest
    if parameters.semantics == "paper":
        return round((1 - smallest) * numel), round(largest * numel)
    density = round(1 - smallest - largest, 12)  # 0.9, not 0.8999999999999999
    if density >= 1:
        return numel, 0
    target = int(max(density, 0.0) * numel)
    least = max(numel - target - int(largest * numel), 0)
    return numel - least, numel - least - target


def _between(crumbs: Crumbs, stack: Stack, model: int) -> Mask:
    size = np.abs(stack.deltas[model])
    kept, large = (cuts[model] for cuts in (crumbs.kept, crumbs.too_large))
    return np.asarray(inside(size, kept, stack) & ~inside(size, large, stack))


def breadcrumbs(stack: Stack, parameters: BreadcrumbsParameters, surveys: Surveys) -> Rows:
    """The scaled sum of the elements that are neither too small nor too large."""
    crumbs, by_model = surveys.get(stack.name), settings_of(stack, parameters)
    left = np.zeros_like(stack.deltas)
    for model, delta in enumerate(stack.deltas):
        if crumbs is None:
            mask = _kept_in_rows(stack, model, by_model[model])
        else:
            mask = _between(crumbs, stack, model)
        factor = crumbs.factors[model] if crumbs is not None and crumbs.factors else 1.0
        left[model] = np.where(mask, np.float32(factor) * delta, np.float32(0))
    if parameters.semantics == "mergekit":
        add = add_agreeing if parameters.signs == "elected" else add_all
        return add(stack, left, parameters.divide, parameters.scale)
    total = np.zeros_like(stack.base)
    for delta, coefficient in zip(left, stack.coefficients, strict=True):
        total += np.float32(coefficient * parameters.scale) * delta
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
    home="Many models, whose largest changes may be noise.",
    parameters=BreadcrumbsParameters,
    combination=Combination(breadcrumbs, survey_breadcrumbs),
    rounds=True,
)
