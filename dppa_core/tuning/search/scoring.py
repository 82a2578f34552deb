"""Domains, splits, scores and densities shared by all searches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import TypeVar

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.evaluation.side_by_side import domains_of, with_models
from dppa_core.methods.registry import get_method
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import KNOWN_DOMAINS, OwnDomain, check_domain

SEARCH, TEST = "search", "test"
"""Settings are chosen on the search split; reported results come from the test split."""

SEARCH_ITEMS = 64
"""Default number of search items per domain; of a joint search `JOINT_ITEMS`."""

SURE_NATS = 0.01
"""Loss of a token that is answered almost surely, in 99 of 100 cases."""

Scored = TypeVar("Scored")
Ask = Callable[[Exam], DomainScore]
"""Holds an exam, in this process or on a cluster."""


def domains_for(recipe: MergeRecipe, tasks: Sequence[str] | None = None) -> tuple[str, ...]:
    """The domain on which each model of a recipe is scored, in the recipe's order.

    Args:
        tasks: One domain per model, or one domain of one's own for all; by default those of the
            embedded models.

    Raises:
        UnknownName: no such domain.
        InvalidValue: not one domain per model, or a model whose domain is unknown.
    """
    if tasks is None:
        return domains_of(
            recipe,
            "which questions is it to be scored on? Name one domain per model with --tasks: "
            f"{', '.join(KNOWN_DOMAINS)}; or one file of questions for each with --items. Only "
            "embedded models have a known domain.",
        )
    if len(tasks) == 1 and isinstance(tasks[0], OwnDomain):
        tasks = [tasks[0]] * len(recipe.models)
    if len(tasks) != len(recipe.models):
        raise InvalidValue(
            f"The recipe has {len(recipe.models)} domain models and --tasks names {len(tasks)} "
            f"domains ({', '.join(tasks)}). There must be one for each model, in the recipe's "
            "order."
        )
    for task in tasks:
        check_domain(task)
    return tuple(tasks)


def single_recipe(recipe: MergeRecipe, model: DomainModel) -> MergeRecipe:
    """The merge the paper scores: one model's pruned and amplified delta alone on the base.

    A method after the pruning stage is left out, because it combines models.
    """
    if recipe.prune is not None:
        stage = recipe.prune
        recipe = replace(recipe, method=stage.method, parameters=stage.parameters, prune=None)
    return with_models(recipe, (replace(model, coefficient=1.0),))


def item_counts(domains: Iterable[str], limit: int) -> tuple[int, int]:
    """The fewest and the most search items of a domain, at most `limit`."""
    counts = [len(Exam("", domain, SEARCH, limit).items()) for domain in domains]
    return min(counts), max(counts)


def by_domain(
    pairs: Iterable[tuple[str, Scored]], of: Callable[[Scored], DomainScore]
) -> dict[str, Scored]:
    """Domain -> its value: of several models of one's own questions, that of the best model."""
    best: dict[str, Scored] = {}
    for domain, value in pairs:
        worse = domain in best and of(value).accuracy < of(best[domain]).accuracy
        if not (worse and isinstance(domain, OwnDomain)):
            best[domain] = value
    return best


def task_score(score: DomainScore, model_score: DomainScore, model: str) -> float:
    """Geometric mean over a domain's tasks of accuracy ÷ the domain model's own.

    The score of the paper's climb (DPPA, arXiv 2403.02799). A task at 0 makes it 0.

    Args:
        model_score: Score of the domain model, on the same items.
        model: The domain model's reference, for the error.

    Raises:
        InvalidValue: the domain model itself answers none of a task's items.
    """
    ratios = []
    for name, task in model_score.tasks.items():
        if not task.accuracy:
            raise InvalidValue(
                f"{model} itself answers none of the {task.n} search items of the kind {name}, so "
                "the retention of a merge is undefined. A model of another domain, or too few "
                "items (--limit), is the usual cause."
            )
        ratios.append(score.tasks[name].accuracy / task.accuracy)
    return geometric_mean(ratios)


def geometric_mean(values: Sequence[float]) -> float:
    """Geometric mean of at least one number >= 0; 0 if one of them is 0."""
    return math.prod(values) ** (1 / len(values))


def balanced_loss(losses: Sequence[float]) -> float:
    """Geometric mean of the losses of domains, counted from `SURE_NATS` below 0, in nats a token.

    So a tenth more counts as much in a domain as in one with eight times its loss; but of a loss
    far below `SURE_NATS` even the double hardly counts. Of equal losses it is that loss.
    """
    return geometric_mean([loss + SURE_NATS for loss in losses]) - SURE_NATS


def retentions(
    scores: Mapping[str, DomainScore], model_scores: Mapping[str, DomainScore]
) -> dict[str, float]:
    """Domain -> accuracy ÷ its own model's, a fraction; raises InvalidValue if that is 0."""
    for domain in scores:
        if not model_scores[domain].accuracy:
            count = model_scores[domain].n
            raise InvalidValue(
                f"The domain model of {domain} itself answers none of the {count} items, so there "
                "is nothing to retain. A model of another domain, or too few items (--limit), is "
                "the usual cause."
            )
    return {
        domain: score.accuracy / model_scores[domain].accuracy for domain, score in scores.items()
    }


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
    density = getattr(recipe.settings(), "density", None)
    return kept * _used(model) * (1.0 if density is None else float(density))


def _used(model: DomainModel) -> float:
    """Share of the kept entries that lie in partitions whose factor is not 0."""
    ends = (1.0, *model.levels)
    sizes = [above - below for above, below in pairwise(ends)]
    used = sum(size for size, by in zip(sizes, model.amplification, strict=True) if by)
    return used / sum(sizes)
