"""The greedy soup of a recipe's models, scored on the search split.

Knows recipes, the pool and the evaluation; no command and no page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from dppa_core.errors import InvalidRecipe, InvalidValue, shown
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Evaluation
from dppa_core.progress import Progress, Stop, report
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAINS, items
from dppa_core.tuning.soup import Indices, Soup, greedy_soup

SPLIT = "search"
"""What ingredients are chosen on; the test split stays unseen."""

Watch = Callable[[Indices, Evaluation], None]


@dataclass(frozen=True, slots=True)
class FoundSoup:
    """A soup of the models of a recipe, and the scores that led to it."""

    given: MergeRecipe
    soup: Soup
    scores: Mapping[Indices, Evaluation]
    """Of every mean that was tried."""

    @property
    def recipe(self) -> MergeRecipe:
        """The mean of the models that stayed."""
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
        found = self.scores[indices]
        domains = {
            name: {"accuracy": one.accuracy, "ci95": list(one.ci95), "n": one.n}
            for name, one in found.domains.items()
        }
        return {
            "models": self.names(indices),
            "accuracy": found.mean,
            "ci95": list(found.ci95),
            "domains": domains,
        }


def mean_recipe(recipe: MergeRecipe, indices: Indices) -> MergeRecipe:
    """The plain mean of some of a recipe's models, whatever else the recipe does with them."""
    return replace(
        recipe,
        models=tuple(DomainModel(recipe.models[index].model) for index in indices),
        method="linear",
        parameters={},
        overrides={},
        prune=None,
        calibration=None,
    )


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
        domains: To score on; those of the embedded models where None.
        limit: Search items per domain; all where None.
        examiner: Who asks; one that keeps nothing where None.
        progress: Told item by item, over all means that are tried.
        stop: Raises Cancelled once set, within one token.
        watch: Told each mean and its scores, as they come.

    Raises:
        UnknownName: no such domain.
        InvalidValue: models whose domain nothing here knows.
        InvalidRecipe: a vocabulary or chat template of a model that may be left out.
    """
    _check_choices(recipe)
    domains = tuple(dict.fromkeys(_own_domains(recipe) if domains is None else domains))
    each = sum(len(items(domain, SPLIT, limit)) for domain in domains)
    count, examiner = len(recipe.models), examiner or Examiner(keep=False)
    scores: dict[Indices, Evaluation] = {}

    def score(mixed: Indices) -> Fraction:
        merge, before = mean_recipe(recipe, mixed), len(scores) * each
        name = " + ".join(model.model for model in merge.models)

        def asked(done: int, total: int, domain: str) -> None:
            report(progress, before + done, (2 * count - 1) * each, f"{name}, {domain}")

        report(progress, before, (2 * count - 1) * each, f"{name}, merge")
        found = examiner.evaluation(
            merge, domains, split=SPLIT, limit=limit, progress=asked, stop=stop
        )
        scores[mixed] = found
        if watch is not None:
            watch(mixed, found)
        return exact_mean(found)

    return FoundSoup(recipe, greedy_soup(score, count), scores)


def exact_mean(found: Evaluation) -> Fraction:
    """The mean accuracy of the domains without rounding, so that equal ones are equal."""
    shares = [Fraction(round(one.accuracy * one.n), one.n) for one in found.domains.values()]
    return sum(shares, Fraction()) / len(shares)


def _check_choices(recipe: MergeRecipe) -> None:
    for key in ("vocabulary", "chat_template"):
        chosen = getattr(recipe, key)
        if chosen in {model.model for model in recipe.models}:
            raise InvalidRecipe(
                f"{key}: {shown(chosen)} is a model that the soup may leave out. "
                "Choose base here, and the model in the recipe that was found if it is in it."
            )


def _own_domains(recipe: MergeRecipe) -> list[str]:
    names = [model.model.removeprefix("zoo:") for model in recipe.models]
    for model, name in zip(recipe.models, names, strict=True):
        if not model.model.startswith("zoo:") or name not in DOMAINS:
            raise InvalidValue(
                f"model {shown(model.model)}: which questions is it to be scored on? Name domains "
                f"with --tasks: {', '.join(DOMAINS)}. Known for the embedded models alone."
            )
    return names
