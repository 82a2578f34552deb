"""How much of the deltas a recipe keeps, told before any merge.

Knows recipes and profiles; no tensor and no model in memory.
"""

from __future__ import annotations

from itertools import pairwise

from dppa_core.methods.registry import get_method
from dppa_core.profile import cached_profile
from dppa_core.recipe import DomainModel, MergeRecipe


def density_of(recipe: MergeRecipe, *, public: bool = False) -> float:
    """Share of the modules' delta entries that go into the merge, mean over the models, in [0, 1].

    Partitions whose factor is 0 do not count. Where a method plans by ranks it is that plan's; of
    methods that drop at random one less the rate; of methods with a setting called `density`,
    that; else 1.

    Args:
        recipe: Any.
        public: Whether only embedded models may be read.
    """
    parts = [_density(recipe, model, public) for model in recipe.models]
    return sum(parts) / len(parts)


def _density(recipe: MergeRecipe, model: DomainModel, public: bool) -> float:
    pruner = get_method(recipe.prune.method if recipe.prune else recipe.method)
    settings = recipe.prune.settings() if recipe.prune else recipe.settings()
    kept = 1.0
    if pruner.levels == "many":
        profile = cached_profile(recipe.base, model.model, public=public)
        plan = pruner.plan(profile, model.levels, settings, recipe.overrides)
        kept = plan.density if plan is not None else 1 - model.levels[-1]
    elif pruner.levels == "one":
        kept = 1 - model.levels[-1]
    own = getattr(recipe.settings(), "density", None)
    return kept * _used(model) * (1.0 if own is None else float(own))


def _used(model: DomainModel) -> float:
    """Of what the levels keep, the share in partitions whose factor is not 0."""
    ends = (1.0, *model.levels)
    sizes = [above - below for above, below in pairwise(ends)]
    used = sum(size for size, by in zip(sizes, model.amplification, strict=True) if by)
    return used / sum(sizes)
