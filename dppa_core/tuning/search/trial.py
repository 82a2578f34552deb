"""Domains, splits and scores shared by all searches.

An exam depends on its values alone, so any process with the models can hold it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from dppa_core.errors import InvalidValue
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.evaluation.side_by_side import domains_of
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tasks import DOMAINS, tasks_of

SEARCH, TEST = "search", "test"
"""Settings are chosen on the search split; reported results come from the test split."""
ITEMS = 64
"""Default number of search items per domain."""


Ask = Callable[[Exam], DomainScore]
"""Holds an exam, in this process or on a cluster."""


def domains_for(recipe: MergeRecipe, tasks: Sequence[str] | None = None) -> tuple[str, ...]:
    """The domain on which each model of a recipe is scored, in the recipe's order.

    Args:
        recipe: The recipe.
        tasks: One domain per model; by default those of the embedded models.

    Raises:
        UnknownName: no such domain.
        InvalidValue: not one domain per model, or a model whose domain is unknown.
    """
    if tasks is None:
        return domains_of(
            recipe,
            "which questions is it to be scored on? Name one domain per model with --tasks: "
            f"{', '.join(DOMAINS)}. Only embedded models have a known domain.",
        )
    if len(tasks) != len(recipe.models):
        raise InvalidValue(
            f"The recipe has {len(recipe.models)} domain models and --tasks names {len(tasks)} "
            f"domains ({', '.join(tasks)}). There must be one for each model, in the recipe's "
            "order."
        )
    for task in tasks:
        tasks_of(task)
    return tuple(tasks)


def task_score(found: DomainScore, own: DomainScore, who: str) -> float:
    """Geometric mean over a domain's tasks of accuracy ÷ the domain model's own.

    The score of the paper's climb (DPPA, arXiv 2403.02799). A task at 0 makes it 0.

    Args:
        found: Score of the merge.
        own: Score of the domain model, on the same items.
        who: The domain model, for the error text.

    Raises:
        InvalidValue: the domain model itself answers none of a task's items.
    """
    ratios = []
    for name, task in own.tasks.items():
        if not task.accuracy:
            raise InvalidValue(
                f"{who} itself answers none of the {task.n} search items of the task {name}, so "
                "the retention of a merge is undefined. A model of another domain, or too few "
                "items (--limit), is the usual cause."
            )
        ratios.append(found.tasks[name].accuracy / task.accuracy)
    return geometric_mean(ratios)


def geometric_mean(values: Sequence[float]) -> float:
    """Geometric mean of at least one number >= 0; 0 if one of them is 0."""
    return math.prod(values) ** (1 / len(values))


def retentions(
    found: Mapping[str, DomainScore], own: Mapping[str, DomainScore]
) -> dict[str, float]:
    """Domain -> accuracy ÷ the domain model's own, as fractions.

    Raises:
        InvalidValue: a domain model answers none of its domain's items.
    """
    for domain in found:
        if not own[domain].accuracy:
            raise InvalidValue(
                f"The domain model of {domain} itself answers none of the {own[domain].n} items, "
                "so there is nothing to retain. A model of another domain, or too few items "
                "(--limit), is the usual cause."
            )
    return {domain: score.accuracy / own[domain].accuracy for domain, score in found.items()}
