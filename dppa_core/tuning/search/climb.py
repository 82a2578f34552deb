"""The paper's climb: amplification factors of each model of a recipe by itself."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from dppa_core.charts.tables import factors_text
from dppa_core.errors import InvalidValue, many
from dppa_core.evaluation.scores import DomainScore
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tuning.search.axes import Point
from dppa_core.tuning.search.joint import Steps
from dppa_core.tuning.search.results import SearchResult, SearchTrial
from dppa_core.tuning.search.sampler import OpenTrial, SearchTask, Walk, WalkSampler
from dppa_core.tuning.search.scoring import SEARCH, single_recipe, task_score

FACTOR_STEP = 0.1
LARGEST_FACTOR = 4.0


def climb_steps(bands: int) -> Steps:
    """Ask for amplification factors, one per band (DPPA, arXiv 2403.02799).

    Start with the first band alone at factor 1. For each band: start its factor at 1, raise it by
    0.1 while the score improves, and keep the best. Unlike the authors' program this goes on from
    the best setting it has asked; of equal ones from the first.
    """
    best, highest = (0.0,) * bands, -math.inf
    for band in range(bands):
        before, after = best[:band], (0.0,) * (bands - band - 1)
        factor, last = 1.0, -math.inf
        while factor <= LARGEST_FACTOR + 1e-9:
            factors = (*before, factor, *after)
            (score,) = yield [factors]
            if score > highest:
                best, highest = factors, score
            if score <= last:
                break
            factor, last = round(factor + FACTOR_STEP, 10), score


class _ModelWalk(Walk):
    """The climb of one model, added alone to the base and scored on its domain."""

    def __init__(
        self, recipe: MergeRecipe, model: DomainModel, domain: str, score: DomainScore
    ) -> None:
        self._recipe, self._model, self._domain, self._model_score = recipe, model, domain, score
        super().__init__(climb_steps(len(model.levels)))

    def start(self, number: int, point: Point) -> OpenTrial:
        values = {f"factor{band}": factor for band, factor in enumerate(point, 1)}
        alone = single_recipe(self._recipe, replace(self._model, amplification=point))
        keys = {self._domain: (self._model.model, point)}
        return OpenTrial(number, values, alone, deque(keys), keys=keys)

    def end(self, trial: OpenTrial) -> tuple[SearchTrial, float]:
        score, model = trial.scores[self._domain], self._model.model
        if not isinstance(score, DomainScore):
            raise score
        share = task_score(score, self._model_score, model)
        if not math.isfinite(share):
            raise InvalidValue(
                f"The score of the factors {list(trial.values.values())} is {share}, which cannot "
                "be compared. A domain without items, or a division by 0, is the usual cause."
            )
        ended = SearchTrial(
            trial.number, trial.values, "", (share,), model=model, remembered=trial.remembered
        )
        return ended, share


class ClimbSampler(WalkSampler):
    """Climbs each model of a recipe."""

    def __init__(self, task: SearchTask) -> None:
        models = zip(task.recipe.models, task.domains, task.model_scores, strict=True)
        super().__init__([_ModelWalk(task.recipe, *model) for model in models], task)

    def result(self) -> ClimbResult:
        """The trials of one model after the other."""
        trials, task = tuple(trial for walk in self._walks for trial in walk.trials), self._task
        return ClimbResult(task.recipe, task.options, task.domains, trials, task.model_scores)


@dataclass(frozen=True, slots=True)
class ModelClimb:
    """The trials of one model, and the best of them; of equal ones the first."""

    trials: tuple[SearchTrial, ...]

    @property
    def best(self) -> SearchTrial:
        """The trial of the highest score."""
        return max(self.trials, key=lambda trial: trial.goals)


@dataclass(frozen=True, slots=True)
class ClimbResult(SearchResult):
    """Factors for every model of a recipe; its trials are those of one model after the other."""

    own: tuple[DomainScore, ...]
    """Score of each domain model itself, on the search items of its domain."""

    def __repr__(self) -> str:
        best = "; ".join(
            f"{climb.best.model} {factors_text(climb.best.amplification)} "
            f"({climb.best.goals[0]:.1%})"
            for climb in self.searches
        )
        return f"ClimbResult({many(len(self.trials), 'setting')} tried; best factors: {best})"

    @property
    def searches(self) -> tuple[ModelClimb, ...]:
        """The climb of each model, in the recipe's order."""
        starts = [index for index, trial in enumerate(self.trials) if trial.number == 0]
        ends = [*starts[1:], len(self.trials)]
        return tuple(map(ModelClimb, (self.trials[s:e] for s, e in zip(starts, ends, strict=True))))

    @property
    def recipe(self) -> MergeRecipe:
        """The given recipe with the factors found."""
        models = tuple(
            replace(model, amplification=climb.best.amplification)
            for model, climb in zip(self.given.models, self.searches, strict=True)
        )
        return replace(self.given, models=models)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy; scores are fractions of the domain model's own."""
        models = [
            {
                "model": model.model,
                "domain": domain,
                "levels": list(model.levels),
                "factors": list(climb.best.amplification),
                "score": climb.best.goals[0],
                "own_accuracy": score.accuracy,
                "trials": [
                    {"factors": list(trial.amplification), "score": trial.goals[0]}
                    for trial in climb.trials
                ],
            }
            for model, domain, score, climb in zip(
                self.given.models, self.domains, self.own, self.searches, strict=True
            )
        ]
        return {"way": "climb", "split": SEARCH, "items": self.options.limit, "models": models}

    def rows(self) -> Iterator[dict[str, Any]]:
        """The model, its factors, and the score as a share of the domain model's own."""
        for domain, climb in zip(self.domains, self.searches, strict=True):
            for trial in climb.trials:
                row: dict[str, Any] = {"model": trial.model, "domain": str(domain)}
                row |= {f"factor_{k}": factor for k, factor in enumerate(trial.amplification, 1)}
                yield row | {"retention_share": trial.goals[0], "best": trial == climb.best}
