"""The adapters that a merge could become: their sizes by rank, and what each would keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.forms.factors import values_of
from dppa_core.merging.inputs import MergeInputs
from dppa_core.merging.lora.adapter_sum import AdapterSum, adapter_sum
from dppa_core.merging.lora.measure import left_out, merged_delta
from dppa_core.merging.lora.to_lora import unrounded
from dppa_core.merging.merger import open_merger
from dppa_core.merging.plan import MergePlan
from dppa_core.methods.shared.singular import decompose_seconds, singular_values
from dppa_core.progress import RunControl, Stop, check
from dppa_core.recipes.yaml_text import MergeRecipe

_RANKS = (4, 8, 16, 32, 64, 128, 256)
_ITEMSIZE = 2
"""Of factors that are decomposed: bfloat16."""


@dataclass(frozen=True, slots=True)
class AdapterSizes:
    """Sizes of a merge's adapters before any weight is read."""

    shapes: Mapping[str, tuple[int, ...]]
    """Tensor -> shape, of those that an adapter can hold."""
    joined: int = 0
    """Bytes of the sum of the recipe's adapters; 0 if the merge is none."""
    joined_rank: int = 0

    @property
    def ranks(self) -> tuple[int | None, ...]:
        """The ranks to choose from; None for the sum itself."""
        most = self.joined_rank or max((min(shape) for shape in self.shapes.values()), default=0)
        smaller = takewhile(lambda rank: rank < most, _RANKS)
        return (*((None,) if self.joined else ()), *smaller)

    def nbytes(self, rank: int | None) -> int:
        """Bytes of all factors, at most."""
        if rank is None:
            return self.joined
        return _ITEMSIZE * sum(min(rank, *shape) * sum(shape) for shape in self.shapes.values())

    @property
    def seconds(self) -> float:
        """About the seconds of one core that decomposes all matrices."""
        return 0.0 if self.joined else decompose_seconds(self.shapes.values())


def adapter_sizes(inputs: MergeInputs, plan: MergePlan) -> AdapterSizes:
    """Sizes of the adapters of an open merge."""
    total = adapter_sum(inputs, plan)
    if isinstance(total, AdapterSum) and total.terms:
        shapes = {name: total.shapes[name] for name in total.terms}
        return AdapterSizes(shapes, total.nbytes, total.rank)
    return AdapterSizes({m.tensor: m.shape for m in inputs.modules if len(m.shape) == 2})


def kept_by_rank(
    recipe: MergeRecipe, *, public: bool = False, stop: Stop | None = None
) -> Float64[ndarray, " ranks"]:
    """For each rank, from 1, the share of the whole change that an adapter of it keeps."""
    control: RunControl = {"stop": stop}
    merger = open_merger(unrounded(recipe), public=public, workers=1, **control)
    total = adapter_sum(merger.inputs, merger.plan)
    joined = total if isinstance(total, AdapterSum) and total.terms else None
    names = adapter_sizes(merger.inputs, merger.plan).shapes
    rest = {} if joined else left_out(merger, names, 1, control)
    most = max(min(shape) for shape in names.values())
    squares = np.zeros(most)
    for name in names:
        check(stop)
        values = (
            values_of(joined.factors(name))
            if joined
            else singular_values(merged_delta(merger, name))
        )
        squares[: values.size] += np.square(values)
    whole = float(squares.sum()) + sum(rest.values())
    return np.cumsum(squares) / whole if whole else np.ones(most)
