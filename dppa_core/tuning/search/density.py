"""The share of the deltas that a recipe keeps, computed from profiles before any merge."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise

from dppa_core.methods.registry import get_method
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

ProfileOf = Callable[[str, str], DeltaProfile]
"""Base and domain model -> the profile of the pair."""


def remembered_profiles(*, public: bool = False) -> ProfileOf:
    """A `ProfileOf` that keeps each profile in memory."""
    return cache(lambda base, model: cached_profile(base, model, public=public))


def density_of(recipe: MergeRecipe, profile_of: ProfileOf = cached_profile) -> float:
    """Share of the modules' delta entries that go into the merge, mean over the models, in [0, 1].

    Methods that plan by ranks have their plan's density, methods that drop at random 1 - rate,
    methods with a setting `density` that setting, and others 1. Partitions with factor 0 do not
    count.

    Args:
        recipe: Any recipe.
        profile_of: Returns profiles.
    """
    parts = [_density(recipe, model, profile_of) for model in recipe.models]
    return sum(parts) / len(parts)


def _density(recipe: MergeRecipe, model: DomainModel, profile_of: ProfileOf) -> float:
    pruner = get_method(recipe.prune.method if recipe.prune else recipe.method)
    settings = recipe.prune.settings() if recipe.prune else recipe.settings()
    kept = 1.0
    if pruner.levels == "many":
        profile = profile_of(recipe.base, model.model)
        plan = pruner.plan(profile, model.levels, settings, recipe.overrides)
        kept = plan.density if plan is not None else 1 - model.levels[-1]
    elif pruner.levels == "one":
        kept = 1 - model.levels[-1]
    own = getattr(recipe.settings(), "density", None)
    return kept * _used(model) * (1.0 if own is None else float(own))


def _used(model: DomainModel) -> float:
    """Share of the kept entries that lie in partitions whose factor is not 0."""
    ends = (1.0, *model.levels)
    sizes = [above - below for above, below in pairwise(ends)]
    used = sum(size for size, by in zip(sizes, model.amplification, strict=True) if by)
    return used / sum(sizes)
