"""Scores by hand, in the place of models: how searches are tested without any."""

from collections.abc import Callable, Mapping, Sequence

from dppa_core.evaluation.scores import DomainScore, Exam, TaskScore
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import wilson

RECIPE = MergeRecipe("zoo:base", tuple(DomainModel(f"zoo:{d}", (0.9, 0.8)) for d in DOMAINS))


def scored(**tasks: tuple[int, int]) -> DomainScore:
    """A domain's score from right answers and items of each task."""
    right, n = (sum(column) for column in zip(*tasks.values(), strict=True))
    parts = {name: TaskScore(hits / of, of) for name, (hits, of) in tasks.items()}
    hits = tuple(place < right for place in range(n))
    return DomainScore(right / n, wilson(right, n), n, parts, hits=hits)


def by_model(
    own: Mapping[str, DomainScore], merged: Callable[[MergeRecipe, str], DomainScore]
) -> tuple[Callable[[Exam], DomainScore], list[Exam]]:
    """What answers for models by reference and merges by a function; and what it was asked."""
    asked: list[Exam] = []

    def ask(exam: Exam) -> DomainScore:
        asked.append(exam)
        if isinstance(exam.target, MergeRecipe):
            return merged(exam.target, exam.domain)
        return own[exam.target]

    return ask, asked


def factors_of(recipe: MergeRecipe) -> Sequence[float]:
    """Of a recipe with one model."""
    (model,) = recipe.models
    return model.amplification
