"""The second step of a merge: the treatment of every tensor, decided before a weight is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.merging.inputs import MergeInputs, pruner_of
from dppa_core.methods.registry import get_method
from dppa_core.methods.shared.treatment import Request, Treatment, Treatments
from dppa_core.methods.task_arithmetic import task_arithmetic
from dppa_core.preflight_checks.weight_findings import base_warnings
from dppa_core.pruning.floats import DTYPE_CODES
from dppa_core.pruning.module_groups import Module
from dppa_core.pruning.plan import PruningPlan, plan_pruning
from dppa_core.recipes.yaml_text import MergeRecipe

Planner = Callable[..., PruningPlan]


@dataclass(frozen=True, slots=True)
class MergePlan:
    """The treatment of every tensor. It stays valid after the models are closed."""

    recipe: MergeRecipe
    """With the commits of Hub models."""
    tensors: Mapping[str, TensorSpec]
    """Name -> merged tensor: of the recipe's dtype, or the base's if it is copied."""
    modules: tuple[Module, ...]
    treated: tuple[Treatments, ...]
    """Of each domain model, in the recipe's order."""
    plans: tuple[PruningPlan, ...]
    """The pruning plan of each domain model; empty for methods that rank no elements."""
    warnings: tuple[str, ...]
    """Domain models hardly made from this base, if the method needed their profiles."""

    @property
    def combines(self) -> bool:
        """Return True if the method combines all deltas of a tensor, False if it adds them."""
        return get_method(self.recipe.method).combination is not None

    def treatments(self, name: str) -> tuple[Treatment, ...]:
        """Treatment of each domain model's delta in one tensor."""
        return tuple(treated.modules.get(name, treated.others) for treated in self.treated)


def plan_merge(inputs: MergeInputs, plan: Planner = plan_pruning) -> MergePlan:
    """Decide the treatment of every tensor.

    Args:
        plan: Plans one model's pruning as `plan_pruning` does.

    Raises:
        InvalidValue, UnknownName: the method refuses an override or a level.
    """
    recipe, base, models = inputs.recipe, inputs.base, inputs.recipe.models
    method, settings = pruner_of(recipe)
    plans: tuple[PruningPlan, ...] = ()
    if method.pruning is not None:
        parameters = method.pruning(settings)
        plans = tuple(
            plan(profile, model.levels, parameters, recipe.overrides)
            for profile, model in zip(inputs.profiles, models, strict=True)
        )
    modules, overrides = inputs.modules, recipe.overrides
    treat = method.treat or task_arithmetic  # deltas to be combined stay whole
    treated = tuple(
        treat(Request(modules, model.levels, model.amplification, overrides, planned), settings)
        for model, planned in zip_longest(models, plans)
    )
    code = DTYPE_CODES[recipe.dtype]
    tensors = {
        name: TensorSpec(name, base.dtype(name) if inputs.copied(name) else code, base.shape(name))
        for name in base.names()
    }
    measured = zip((model.model for model in models), inputs.profiles, strict=False)
    return MergePlan(recipe, tensors, modules, treated, plans, base_warnings(measured))
