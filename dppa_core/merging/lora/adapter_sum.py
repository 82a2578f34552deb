"""A merge of adapters of one base as a sum of products: no whole matrix is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import frexp
from typing import NamedTuple

from dppa_core.checkpoints.adapters.lora import LoraCheckpoint
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.forms.factors import Factors, joined
from dppa_core.merging.inputs import MergeInputs, open_inputs
from dppa_core.merging.plan import MergePlan, plan_merge
from dppa_core.methods.linear import NO_MEAN
from dppa_core.methods.registry import get_method
from dppa_core.methods.shared.treatment import WholeTreatment
from dppa_core.pruning.coefficients import coefficient_of
from dppa_core.pruning.module_groups import layer_count
from dppa_core.recipes.yaml_text import MergeRecipe

_METHODS = ("task_arithmetic", "linear")
_SIZES = {"BF16": 2, "F16": 2, "F32": 4}


class Term(NamedTuple):
    """One adapter's part of a merged delta."""

    adapter: LoraCheckpoint
    tensor: str
    """Its name in the adapter's base."""
    rank: int
    weight: float
    """What multiplies the product of its factors."""


@dataclass(frozen=True, slots=True, eq=False)
class AdapterSum:
    """A merged delta that is a weighted sum of adapters."""

    terms: Mapping[str, tuple[Term, ...]]
    """Tensor that some adapter changes -> its parts."""
    shapes: Mapping[str, tuple[int, ...]]

    def factors(self, name: str) -> Factors:
        """The factors of all adapters side by side."""
        terms = self.terms[name]
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
        return stored.pop() if powers and len(stored) == 1 else "F32"

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
    chains = [_adapters(model, inputs.base) for model in inputs.tuned]
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
    adapted = [[(adapter, adapter.adapted()) for adapter in row] for row in chains]
    for name in plan.tensors:
        weights = _weights(inputs.recipe, plan, name, layers)
        rows = zip(inputs.places, adapted, weights, strict=True)
        terms[name] = tuple(
            Term(adapter, places[name], rank, weight * scale)
            for places, row, weight in rows
            for adapter, changed in row
            if places.get(name) in changed
            for rank, scale in (changed[places[name]],)
        )
    shapes = {name: spec.shape for name, spec in plan.tensors.items()}
    return AdapterSum({name: row for name, row in terms.items() if row}, shapes)


def _adapters(model: Checkpoint, base: Checkpoint) -> list[LoraCheckpoint]:
    """The adapters on top of the base; none if the model is something else."""
    adapters = []
    while isinstance(model, LoraCheckpoint):
        adapters.append(model)
        if model.base.identities() == base.identities():
            return adapters
        model = model.base
    return []


def _recipe_reason(recipe: MergeRecipe) -> str:
    if recipe.method not in _METHODS:
        return f"{get_method(recipe.method).title} looks at every weight of a delta"
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
