"""What a merge of the embedded models adds to the base, beside the plain sum of their deltas.

Knows recipes and weights; no score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import to_float32
from dppa_core.merging.merger import open_merger
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe


@dataclass(frozen=True, slots=True)
class Added:
    """The merged delta, of all tensors at once."""

    length: float
    """Its Euclidean norm, divided by that of the sum."""
    likeness: float
    """Cosine of the angle between the two, in [-1, 1]; 0 where one of them is 0."""
    changed: float
    """Share of elements that are not the base's."""


def added(merge: MergeRecipe) -> Added:
    """Compare what a merge adds with the sum of the deltas of its models."""

    def plain(coefficient: float) -> MergeRecipe:
        models = tuple(DomainModel(m.model, coefficient=coefficient) for m in merge.models)
        return MergeRecipe(merge.base, models, method="task_arithmetic")

    squares = products = of_sum = 0.0
    changed = count = 0
    streams = (_tensors(one) for one in (plain(0.0), merge, plain(1.0)))
    for base, merged, summed in zip(*streams, strict=True):
        one, other = merged - base, summed - base
        squares += float(one @ one)
        of_sum += float(other @ other)
        products += float(one @ other)
        changed += int(np.count_nonzero(one))
        count += one.size
    both = math.sqrt(squares * of_sum)
    length = math.sqrt(squares / of_sum) if of_sum else 0.0
    return Added(length, products / both if both else 0.0, changed / count)


def _tensors(merge: MergeRecipe) -> Iterator[Float64[ndarray, " n"]]:
    merger = open_merger(replace(merge, dtype="float32"))
    for name in merger.names():
        dtype, _, raw = merger.tensor(name)
        yield to_float32(raw, dtype).reshape(-1).astype(np.float64)
