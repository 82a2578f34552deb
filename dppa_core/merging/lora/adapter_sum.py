"""A merge of adapters of one base as products: no whole matrix is made.

Most are sums. Methods of directions merge the products themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import frexp
from typing import NamedTuple, TypeAlias

import numpy as np

from dppa_core.checkpoints.adapters.lora import LoraCheckpoint, adapters_between
from dppa_core.checkpoints.folders.architectures import INPUTS_FIRST
from dppa_core.forms.factors import joined
from dppa_core.merging.inputs import MergeInputs, open_inputs
from dppa_core.merging.plan import MergePlan, plan_merge
from dppa_core.methods.linear import NO_MEAN
from dppa_core.methods.registry import get_method
from dppa_core.methods.shared.singular import Factors
from dppa_core.methods.shared.treatment import WholeTreatment
from dppa_core.pruning.coefficients import coefficient_of
from dppa_core.pruning.module_groups import layer_count
from dppa_core.recipes.yaml_text import MergeRecipe

_METHODS = ("task_arithmetic", "linear")
ProductMerge: TypeAlias = Callable[[Sequence[Factors], int], Factors]
"""Weighted product of each member, smaller side of the module -> the merged product."""
_SIZES = {"BF16": 2, "F16": 2, "F32": 4}


class Term(NamedTuple):
    """One adapter's part of a merged delta."""

    adapter: LoraCheckpoint
    tensor: str
    """Its name in the adapter's base."""
    rank: int
    weight: float
    """What multiplies the product of its factors."""
    model: int
    """Index of the domain model it belongs to."""


@dataclass(frozen=True, slots=True, eq=False)
class AdapterSum:
    """A merged delta that is a weighted sum of adapters, or merged from them by directions."""

    terms: Mapping[str, tuple[Term, ...]]
    """Tensor that some adapter changes -> its parts."""
    shapes: Mapping[str, tuple[int, ...]]
    members: Mapping[str, tuple[int, ...]]
    """The same tensors -> the models that take part, though they may not change it."""
    merge: ProductMerge | None = None
    """None for a sum."""

    def factors(self, name: str) -> Factors:
        """The factors of the merge: of a sum those of all adapters side by side."""
        if self.merge is None:
            return self._joined(name, self.terms[name])
        parts = [
            self._joined(name, [term for term in self.terms[name] if term.model == member])
            for member in self.members[name]
        ]
        left, right = self.merge(parts, min(self.shapes[name]))
        return Factors(left.astype(np.float32), right.astype(np.float32))

    def _joined(self, name: str, terms: Sequence[Term]) -> Factors:
        if not terms:
            rows, columns = self.shapes[name]
            return Factors(np.zeros((rows, 0), np.float32), np.zeros((0, columns), np.float32))
        parts = [term.adapter.factors(term.tensor) for term in terms]
        return joined(parts, [term.weight for term in terms])

    @property
    def rank(self) -> int:
        """The largest rank of a tensor."""
        return max(sum(term.rank for term in terms) for terms in self.terms.values())

    @property
    def dtype(self) -> str:
        """The narrowest dtype that holds all factors and their products with weights unrounded."""
        terms = [term for row in self.terms.values() for term in row]
        stored = set[str]().union(*(term.adapter.stored_dtypes() for term in terms))
        powers = all(abs(frexp(term.weight)[0]) in (0, 0.5) for term in terms)
        exact = powers and len(stored) == 1 and self.merge is None
        return stored.pop() if exact else "F32"

    @property
    def nbytes(self) -> int:
        """Bytes of all factors in that dtype."""
        ranks = {name: sum(term.rank for term in terms) for name, terms in self.terms.items()}
        return _SIZES[self.dtype] * sum(r * sum(self.shapes[name]) for name, r in ranks.items())


def sum_of_adapters(recipe: MergeRecipe) -> AdapterSum | None:
    """The merge as a sum of adapters, if it is one; no weight is read.

    Raises:
        CheckpointError: see `open_inputs`.
    """
    if _recipe_reason(recipe):
        return None
    inputs = open_inputs(recipe)
    total = adapter_sum(inputs, plan_merge(inputs))
    return total if isinstance(total, AdapterSum) and total.terms else None


def adapter_sum(inputs: MergeInputs, plan: MergePlan) -> AdapterSum | str:
    """The merge as a sum of adapters; else what it needs whole matrices for, or an empty text if a
    model is no adapter of the base."""
    chains = [adapters_between(inputs.base, model) for model in inputs.tuned]
    if not all(chains):
        return ""
    reasons = [
        _recipe_reason(inputs.recipe),
        *(one.dense_reason() for row in chains for one in row),
    ]
    reason = next(filter(None, reasons), "")
    if reason:
        return reason
    layers, terms = layer_count(inputs.base.names()), dict[str, tuple[Term, ...]]()
    members = dict[str, tuple[int, ...]]()
    adapted = [[(adapter, adapter.adapted()) for adapter in row] for row in chains]
    for name in plan.tensors:
        weights = _weights(inputs.recipe, plan, name, layers)
        rows = enumerate(zip(inputs.places, adapted, weights, strict=True))
        members[name] = tuple(index for index, weight in enumerate(weights) if weight)
        terms[name] = tuple(
            Term(adapter, places[name], rank, weight * scale, index)
            for index, (places, row, weight) in rows
            for adapter, changed in row
            if places.get(name) in changed
            for rank, scale in (changed[places[name]],)
        )
    shapes = {name: spec.shape for name, spec in plan.tensors.items()}
    changed_terms = {name: row for name, row in terms.items() if row}
    return AdapterSum(changed_terms, shapes, members, _merge_of_products(inputs))


def _merge_of_products(inputs: MergeInputs) -> ProductMerge | None:
    combination, settings = get_method(inputs.recipe.method).combination, inputs.recipe.settings()
    if combination is None or combination.factored is None:
        return None
    factored = combination.factored
    if inputs.base.config.get("model_type") not in INPUTS_FIRST:
        return lambda parts, size: factored(parts, settings, size)
    return lambda parts, size: factored([part.turned for part in parts], settings, size).turned


def _recipe_reason(recipe: MergeRecipe) -> str:
    combination = get_method(recipe.method).combination
    by_directions = combination is not None and combination.factored is not None
    if recipe.method not in _METHODS and not by_directions:
        return f"{get_method(recipe.method).title} looks at every weight of a delta"
    if by_directions and any(model.parameters for model in recipe.models):
        return "a model has settings of its own"
    if recipe.prune is not None:
        return f"prune: {recipe.prune.method} drops weights of a delta"
    if recipe.arithmetic != "float32":
        return f"arithmetic: {recipe.arithmetic} rounds whole matrices"
    if recipe.method == "linear" and recipe.settings().divide == "nothing":
        return "divide: nothing changes the base's own share"
    return ""


def _weights(recipe: MergeRecipe, plan: MergePlan, name: str, layers: int) -> Sequence[float]:
    """What multiplies each model's delta in one tensor."""
    coefficients = [coefficient_of(model.coefficient, name, layers) for model in recipe.models]
    total = sum(coefficients) if recipe.method == "linear" else 1.0
    if abs(total) < NO_MEAN:
        return [0.0] * len(coefficients)
    factors = [t.factor for t in plan.treatments(name) if isinstance(t, WholeTreatment)]
    return [c / total * factor for c, factor in zip(coefficients, factors, strict=True)]
