"""A joint search of a recipe: the whole merge is scored, on the search items of every domain."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dppa_core.errors import InvalidRecipe, InvalidValue, many
from dppa_core.evaluation.scores import DomainScore
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, recipe_hash
from dppa_core.tasks import OwnDomain
from dppa_core.tuning.search.axes import Point, SearchAxis, at_point, axes_of, given_point
from dppa_core.tuning.search.joint import LossTable
from dppa_core.tuning.search.results import SearchResult, SearchTrial
from dppa_core.tuning.search.sampler import OpenTrial, SearchTask, Walk, WalkSampler
from dppa_core.tuning.search.scoring import SEARCH, balanced_loss, by_domain, retentions


class _MergeWalk(Walk):
    """A joint search of a merge, scored on all domains."""

    def __init__(
        self, recipe: MergeRecipe, table: LossTable, model_scores: Mapping[str, DomainScore]
    ) -> None:
        self._recipe, self._axes, self._model_scores = recipe, table.axes, model_scores
        super().__init__(table.descend([given_point(recipe, table.axes)]))

    def start(self, number: int, point: Point) -> OpenTrial:
        merge = at_point(self._recipe, self._axes, point)
        values = {axis.name: value for axis, value in zip(self._axes, point, strict=False)}
        name = recipe_hash(merge)
        keys = {domain: (f"{name} {domain}", ()) for domain in self._model_scores}
        return OpenTrial(number, values, merge, deque(keys), keys=keys)

    def end(self, trial: OpenTrial) -> tuple[SearchTrial, float]:
        scores: dict[str, DomainScore] = {}
        for domain in self._model_scores:
            score = trial.scores[domain]
            if isinstance(score, InvalidRecipe):
                raise score
            if isinstance(score, DomainScore):
                scores[domain] = score
        losses = [score.loss for score in scores.values() if score.loss is not None]
        if len(losses) < len(scores):
            raise InvalidValue("A joint search needs exams with the loss of the right answers.")
        overflows = len(scores) < len(self._model_scores)
        loss = None if overflows else balanced_loss(losses)
        shares = {} if overflows else retentions(scores, self._model_scores)
        ended = SearchTrial(
            trial.number,
            trial.values,
            dump_recipe(trial.recipe),
            (sum(shares.values()) / len(self._model_scores),),
            shares,
            loss=loss,
            remembered=trial.remembered,
        )
        return ended, math.inf if loss is None else loss


class JointSampler(WalkSampler):
    """Chooses the factors, coefficient or scale, and strength of a merge together.

    Factors of 1 with the recipe's other values come first, then the recipe itself. An exam gives
    loss and accuracy in one pass, so all settings are compared by accuracy here.
    """

    def __init__(self, task: SearchTask) -> None:
        pairs = zip(task.domains, task.model_scores, strict=True)
        self._model_scores = by_domain(pairs, lambda score: score)
        axes = axes_of(task.recipe, per_model=task.options.per_model)
        self._table = LossTable(axes, task.options.trials)
        super().__init__([_MergeWalk(task.recipe, self._table, self._model_scores)], task)

    def result(self) -> JointResult:
        """All settings, the best by the objective."""
        task, table, trials = self._task, self._table, tuple(self._walks[0].trials)
        points = list(table.losses)
        if task.options.objectives[0] == "loss":
            best = min(points, key=table.rank)
        else:
            accuracies = [trial.retention for trial in trials]
            best = table.best(dict(zip(points, accuracies, strict=True)))
        domains, scores = tuple(self._model_scores), self._model_scores
        place = points.index(best)
        return JointResult(task.recipe, task.options, domains, trials, scores, table.axes, place)


@dataclass(frozen=True, slots=True)
class JointResult(SearchResult):
    """All settings that a joint search asked, and the one chosen."""

    own: Mapping[str, DomainScore]
    axes: tuple[SearchAxis, ...]
    place: int
    """Index of the chosen one among the trials."""

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {value:.4g}" for name, value in self.best.values.items())
        return (
            f"JointResult({many(len(self.trials), 'setting')} tried; best: {values or 'as given'}, "
            f"retention {self.best.retention:.1%})"
        )

    @property
    def best(self) -> SearchTrial:
        """The chosen setting."""
        return self.trials[self.place]

    @property
    def recipe(self) -> MergeRecipe:
        """The given recipe with the values chosen."""
        point = tuple(map(float, self.best.values.values()))
        return at_point(self.given, self.axes, point)

    @property
    def answers(self) -> int:
        """Answers of merges that were asked for: settings by items of all domains."""
        items = [
            score.n if isinstance(domain, OwnDomain) else self.options.limit
            for domain, score in self.own.items()
        ]
        return len(self.trials) * sum(items)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        names = ("name", "start", "low", "high")
        return {
            "way": "joint",
            "split": SEARCH,
            "items": self.options.limit,
            "domains": list(self.domains),
            "objective": self.options.objectives[0],
            "budget": self.options.trials,
            "answers": self.answers,
            "axes": [{name: getattr(axis, name) for name in names} for axis in self.axes],
            "own": {domain: score.accuracy for domain, score in self.own.items()},
            "trials": list(map(_trial_json, self.trials)),
            "best": _trial_json(self.best),
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """Values of the axes, the loss, and retentions as shares of 1."""
        for index, trial in enumerate(self.trials):
            row = {
                **trial.values,
                "loss_nats_per_token": trial.loss,
                "retention_share": trial.retention,
                **{f"retention_{domain}": share for domain, share in trial.retentions.items()},
            }
            yield row | {"best": index == self.place}


def _trial_json(trial: SearchTrial) -> dict[str, Any]:
    names = ("values", "loss", "retention", "retentions")
    return {name: getattr(trial, name) for name in names}
