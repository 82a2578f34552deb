"""Scores by hand instead of models, for tests of searches."""

from collections.abc import Callable, Mapping, Sequence

from dppa_core.evaluation.scores import DomainScore, Exam, TaskScore
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import wilson
from dppa_core.tuning.search.axes import Point
from dppa_core.tuning.search.joint import Steps

RECIPE = MergeRecipe("zoo:base", tuple(DomainModel(f"zoo:{d}", (0.9, 0.8)) for d in DOMAINS))


def scored(**tasks: tuple[int, int]) -> DomainScore:
    """A domain's score from right answers and items of each task."""
    right, n = (sum(column) for column in zip(*tasks.values(), strict=True))
    parts = {name: TaskScore(hits / total, total) for name, (hits, total) in tasks.items()}
    hits = tuple(place < right for place in range(n))
    return DomainScore(right / n, wilson(right, n), n, parts, hits=hits)


def by_model(
    by_reference: Mapping[str, DomainScore], merged: Callable[[MergeRecipe, str], DomainScore]
) -> tuple[Callable[[Exam], DomainScore], list[Exam]]:
    """A scorer of models by reference and merges by a function; and the exams it got."""
    exams: list[Exam] = []

    def ask(exam: Exam) -> DomainScore:
        exams.append(exam)
        if isinstance(exam.target, MergeRecipe):
            return merged(exam.target, exam.domain)
        return by_reference[exam.target]

    return ask, exams


def asked_points(steps: Steps, score: Callable[[Point], float]) -> list[Point]:
    """The points that a search written as a generator asks, one or more at a time."""
    visited, points = [], next(steps, ())
    while points:
        visited += points
        try:
            points = steps.send([score(point) for point in points])
        except StopIteration:
            break
    return visited


def factors_of(recipe: MergeRecipe) -> Sequence[float]:
    """For a recipe of one model."""
    (model,) = recipe.models
    return model.amplification
