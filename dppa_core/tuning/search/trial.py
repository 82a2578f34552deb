"""What the trials of a search have in common: domains, splits, and what scores come to.

Knows recipes and scores; not what is searched for. An exam depends on its values alone, so that
any process with the models can hold it; nothing is written.
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
"""Settings are chosen on the one split; figures that are told come from the other."""
ITEMS = 64
"""Search items a domain, unless another number is asked for."""


Ask = Callable[[Exam], DomainScore]
"""How an exam is held: here, or wherever the models are."""


def domains_for(recipe: MergeRecipe, tasks: Sequence[str] | None = None) -> tuple[str, ...]:
    """The domain that each model of a recipe is scored on, in their order.

    Args:
        recipe: Whose models.
        tasks: One domain a model; those of the embedded models where None.

    Raises:
        UnknownName: no such domain.
        InvalidValue: another number of domains than models, or a model whose domain is not known.
    """
    if tasks is None:
        return domains_of(
            recipe,
            "which questions is it to be scored on? Name one domain a model with --tasks: "
            f"{', '.join(DOMAINS)}. Known for the embedded models alone.",
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

    The score that the paper climbs by (DPPA, arXiv 2403.02799). A task at 0 makes it 0.

    Args:
        found: Of the merge.
        own: Of the domain model, on the same items.
        who: The domain model, for the message.

    Raises:
        InvalidValue: the domain model itself answers nothing of a task.
    """
    ratios = []
    for name, task in own.tasks.items():
        if not task.accuracy:
            raise InvalidValue(
                f"{who} itself answers none of the {task.n} search items of the task {name}, so "
                "nothing can be told of what a merge keeps. A model of another domain, or too few "
                "items (--limit), is the usual cause."
            )
        ratios.append(found.tasks[name].accuracy / task.accuracy)
    return geometric_mean(ratios)


def geometric_mean(values: Sequence[float]) -> float:
    """Of at least one number >= 0; 0 where one of them is."""
    return math.prod(values) ** (1 / len(values))


def retentions(
    found: Mapping[str, DomainScore], own: Mapping[str, DomainScore]
) -> dict[str, float]:
    """Domain -> accuracy ÷ the domain model's own, as fractions.

    Raises:
        InvalidValue: a domain model that answers nothing of its domain.
    """
    for domain in found:
        if not own[domain].accuracy:
            raise InvalidValue(
                f"The domain model of {domain} itself answers none of the {own[domain].n} items, "
                "so there is nothing to retain. A model of another domain, or too few items "
                "(--limit), is the usual cause."
            )
    return {domain: score.accuracy / own[domain].accuracy for domain, score in found.items()}
