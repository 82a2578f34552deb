"""The second step of a merge: the treatment of every tensor, decided before a weight is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.checkpoints.sources.open_models import OpenModels
from dppa_core.merging.inputs import MergeInputs, first_stage
from dppa_core.methods.registry import get_method
from dppa_core.methods.shared.treatment import Request, Treatment, Treatments
from dppa_core.preflight_checks.of_weights import base_warnings
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.density import significance
from dppa_core.pruning.floats import DTYPE_CODES
from dppa_core.pruning.module_groups import Module
from dppa_core.pruning.plan import PruningPlan, plan_pruning
from dppa_core.pruning.pruning_parameters import Override, PruningParameters
from dppa_core.recipes.yaml_text import MergeRecipe


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
    warnings: tuple[str, ...]
    """Domain models hardly made from this base, if the method needed their profiles."""

    @property
    def plans(self) -> tuple[PruningPlan, ...]:
        """What pruning keeps of each domain model; empty for methods that rank no elements."""
        return tuple(one.plan for one in self.treated if one.plan is not None)

    @property
    def combines(self) -> bool:
        """Whether the method combines all deltas of a tensor instead of adding one by one."""
        return get_method(self.recipe.method).combination is not None

    def treatments(self, name: str) -> tuple[Treatment, ...]:
        """Treatment of each domain model's delta in one tensor."""
        return tuple(one.modules.get(name, one.others) for one in self.treated)


def plan_merge(inputs: MergeInputs) -> MergePlan:
    """Decide the treatment of every tensor.

    Raises:
        InvalidValue, UnknownName: the method refuses an override or a level.
    """
    recipe, base = inputs.recipe, inputs.base
    treat, settings, _ = first_stage(recipe)
    modules, planner = inputs.matching.modules, partial(_planned, inputs.shelf)
    profiles = inputs.profiles or (None,) * len(recipe.models)
    requests = [
        Request(modules, one.levels, one.amplification, profile, recipe.overrides, planner)
        for one, profile in zip(recipe.models, profiles, strict=True)
    ]
    code = DTYPE_CODES[recipe.dtype]
    tensors = {
        name: TensorSpec(name, base.dtype(name) if inputs.copied(name) else code, base.shape(name))
        for name in base.names()
    }
    measured = zip((model.model for model in recipe.models), inputs.profiles, strict=False)
    treated = tuple(treat(request, settings) for request in requests)
    return MergePlan(recipe, tensors, modules, treated, base_warnings(measured))


def _planned(
    shelf: OpenModels,
    profile: DeltaProfile,
    levels: Sequence[float],
    parameters: PruningParameters,
    overrides: Mapping[str, Override],
) -> PruningPlan:
    """A plan, or an earlier merge's: factors do not change it."""
    given, rest = (profile, parameters), (tuple(levels), tuple(sorted(overrides.items())))
    score = shelf.value(("significance", *given), partial(significance, *given))
    make = partial(plan_pruning, profile, levels, parameters, overrides, score)
    return shelf.value(("plan", *given, *rest), make)
