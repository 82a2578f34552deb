"""The greedy soup of a recipe's models: the mean of those that do not lower the score.

Ingredients are chosen on the search split, so that the test split stays unseen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from dppa_core.errors import InvalidRecipe, InvalidValue, shown
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Evaluation
from dppa_core.evaluation.side_by_side import LINEAR, domains_of, plain_merge
from dppa_core.progress import Progress, Stop, report
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAINS, items

Score = Fraction | float
"""Larger is better. Fractions compare exactly: rounding could make equal means differ."""
Indices = tuple[int, ...]
"""Indices of models in the recipe, ascending."""


@dataclass(frozen=True, slots=True)
class SoupStep:
    """One model tried as an ingredient."""

    added: int
    mixed: Indices
    """The models whose mean was scored, including the added one."""
    score: Score
    kept: bool


@dataclass(frozen=True, slots=True)
class Soup:
    """The trials and the result of a greedy soup."""

    alone: tuple[Score, ...]
    """Score of each model, in the order of the recipe."""
    steps: tuple[SoupStep, ...]
    """First the best model by itself, then the others by falling score."""

    @property
    def best(self) -> SoupStep:
        """The last kept step: its mean is the soup."""
        return [step for step in self.steps if step.kept][-1]


def greedy_soup(score: Callable[[Indices], Score], count: int) -> Soup:
    """Choose the models whose mean is the soup.

    Start with the best model and try the others by falling score: a model stays if it does not
    lower the score of the mean. Equal models are tried in the recipe's order.

    Args:
        score: Score of the mean of some models; use a held-out split, never the test split. Called
            2 · count - 1 times: for each model alone, then for each further ingredient.
        count: Number of models, at least 1.

    Raises:
        InvalidValue: no model, or a score is not finite.
    """
    if count < 1:
        raise InvalidValue(f"A soup needs at least 1 model, got {count}.")

    def rated(mixed: Indices) -> Score:
        value = score(mixed)
        if not math.isfinite(value):
            raise InvalidValue(
                f"The score of the models {list(mixed)} is {value}, which cannot be compared. "
                "Weights that are not finite are the usual cause."
            )
        return value

    alone = tuple(rated((index,)) for index in range(count))
    first, *others = sorted(range(count), key=lambda index: -alone[index])
    best = SoupStep(first, (first,), alone[first], kept=True)
    steps = [best]
    for added in others:
        mixed = tuple(sorted((*best.mixed, added)))
        value = rated(mixed)
        steps.append(SoupStep(added, mixed, value, kept=value >= best.score))
        best = steps[-1] if steps[-1].kept else best
    return Soup(alone, tuple(steps))


SPLIT = "search"

_ASK_FOR = (
    "which questions is it to be scored on? Name domains with --tasks: "
    f"{', '.join(DOMAINS)}; or files of questions with --items. Only embedded models have a known "
    "domain."
)
Watch = Callable[[Indices, Evaluation], None]


@dataclass(frozen=True, slots=True)
class FoundSoup:
    """A soup of a recipe's models, and its scores."""

    given: MergeRecipe
    soup: Soup
    scores: Mapping[Indices, Evaluation]

    @property
    def recipe(self) -> MergeRecipe:
        """The mean of the chosen models."""
        return mean_recipe(self.given, self.soup.best.mixed)

    def names(self, indices: Indices) -> list[str]:
        """The references of some models."""
        return [self.given.models[index].model for index in indices]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy; accuracies are fractions."""
        alone = [self._scored((index,)) for index in range(len(self.given.models))]
        steps = [
            {"added": self.given.models[step.added].model, "kept": step.kept}
            | self._scored(step.mixed)
            for step in self.soup.steps
        ]
        return {
            "split": SPLIT,
            "alone": alone,
            "steps": steps,
            "soup": self._scored(self.soup.best.mixed),
        }

    def _scored(self, indices: Indices) -> dict[str, Any]:
        evaluation = self.scores[indices]
        return {
            "models": self.names(indices),
            "accuracy": evaluation.mean,
            "ci95": list(evaluation.ci95),
            "domains": {name: score.figures() for name, score in evaluation.domains.items()},
        }


def mean_recipe(recipe: MergeRecipe, indices: Indices) -> MergeRecipe:
    """The plain mean of some of a recipe's models, without the recipe's other settings."""
    models = [DomainModel(recipe.models[index].model) for index in indices]
    return plain_merge(recipe, models, LINEAR)


def find_soup(
    recipe: MergeRecipe,
    domains: Sequence[str] | None = None,
    *,
    limit: int | None = None,
    examiner: Examiner | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    watch: Watch | None = None,
) -> FoundSoup:
    """Find the greedy soup of a recipe's models, by their mean accuracy over some domains.

    Args:
        recipe: Its base is no ingredient; of its models only the references count.
        domains: Domains to score on; by default those of the embedded models.
        limit: Search items per domain; all if None.
        examiner: Holds the exams; one without cache if None.

    Raises:
        UnknownName: no such domain.
        InvalidValue: a model whose domain is unknown.
        InvalidRecipe: the vocabulary or chat template of a model that may be left out.
    """
    _check_choices(recipe)
    domains = tuple(dict.fromkeys(domains_of(recipe, _ASK_FOR) if domains is None else domains))
    items_each = sum(len(items(domain, SPLIT, limit)) for domain in domains)
    count, examiner = len(recipe.models), examiner or Examiner(keep=False)
    scores: dict[Indices, Evaluation] = {}

    def score(mixed: Indices) -> Fraction:
        merge, before = mean_recipe(recipe, mixed), len(scores) * items_each
        name = " + ".join(model.model for model in merge.models)

        def tell(answers: int, _: int, domain: str) -> None:
            report(progress, before + answers, (2 * count - 1) * items_each, f"{name}, {domain}")

        report(progress, before, (2 * count - 1) * items_each, f"{name}, merge")
        evaluation = examiner.evaluation(
            merge, domains, split=SPLIT, limit=limit, progress=tell, stop=stop
        )
        scores[mixed] = evaluation
        if watch is not None:
            watch(mixed, evaluation)
        return exact_mean(evaluation)

    return FoundSoup(recipe, greedy_soup(score, count), scores)


def exact_mean(evaluation: Evaluation) -> Fraction:
    """The mean accuracy of the domains, unrounded so that equal means compare equal."""
    domains = evaluation.domains.values()
    shares = [Fraction(round(score.accuracy * score.n), score.n) for score in domains]
    return sum(shares, Fraction()) / len(shares)


def _check_choices(recipe: MergeRecipe) -> None:
    for key in ("vocabulary", "chat_template"):
        choice = getattr(recipe, key)
        if choice in {model.model for model in recipe.models}:
            raise InvalidRecipe(
                f"{key}: {shown(choice)} is a model that the soup may leave out. "
                "Choose base here, and the model in the recipe that was found if it is in it."
            )
