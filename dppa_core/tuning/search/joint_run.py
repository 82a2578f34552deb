"""A joint search of a recipe: exams on the search split, remembered in a state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dppa_core.errors import InvalidValue, NonFiniteWeights, many
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.frames import frame_of
from dppa_core.system.threads import side_by_side
from dppa_core.tasks import OwnDomain
from dppa_core.tuning.search.axes import at_point, axes_of, given_point
from dppa_core.tuning.search.climb import TrialScores, made_by
from dppa_core.tuning.search.joint import (
    JOINT_ITEMS,
    Budget,
    JointSearch,
    Point,
    SearchAxis,
    joint_search,
    usual_settings,
)
from dppa_core.tuning.search.trial import (
    SEARCH,
    Ask,
    balanced_loss,
    by_domain,
    domains_for,
    retentions,
)

Scores = Mapping[str, DomainScore]
"""Scores by domain; empty for a merge whose weights overflow."""
Watch = Callable[["JointTrial"], None]


@dataclass(frozen=True, slots=True)
class JointTrial:
    """One setting with its scores on the search items."""

    recipe: MergeRecipe
    values: Mapping[str, float]
    """By the names of the axes; empty for the recipe as given, if the axes cannot tell it."""
    loss: float | None
    """`balanced_loss` of the domains, in nats per token; None for weights that overflow.

    Over 16 DPPA merges of the embedded models (200 search items a domain) the order by the
    geometric mean of the losses agreed with that by retention to 0.91 (Spearman), the order by a
    plain mean, which the largest loss decides, to 0.56; the choice was made on these.
    """
    retentions: Mapping[str, float]
    """Domain -> accuracy ÷ the domain model's own."""

    @property
    def retention(self) -> float:
        """Mean over the domains; 0 for weights that overflow."""
        shares = self.retentions.values()
        return sum(shares) / len(shares) if shares else 0.0

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy without the recipe."""
        names = ("values", "loss", "retention", "retentions")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class JointResult:
    """What a joint search found, and all settings it asked."""

    given: MergeRecipe
    domains: tuple[str, ...]
    limit: int
    most: int
    """Settings that it could ask."""
    objective: str
    own: Scores
    search: JointSearch
    trials: tuple[JointTrial, ...]
    """One for each candidate of the search, in its order."""

    def __repr__(self) -> str:
        best = self.trials[self.place]
        values = ", ".join(f"{name} {value:.4g}" for name, value in best.values.items())
        return (
            f"JointResult({many(len(self.trials), 'setting')} tried; best: {values or 'as given'}, "
            f"retention {best.retention:.1%})"
        )

    @property
    def recipe(self) -> MergeRecipe:
        """The given recipe with the values chosen."""
        return at_point(self.given, self.search.axes, self.search.best.values)

    @property
    def place(self) -> int:
        """Index of the chosen one among the trials."""
        return [one.values for one in self.search.candidates].index(self.search.best.values)

    @property
    def answers(self) -> int:
        """Answers of merges that were asked for: settings by items of all domains."""
        each = [
            one.n if isinstance(domain, OwnDomain) else self.limit
            for domain, one in self.own.items()
        ]
        return len(self.trials) * sum(each)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        names = ("name", "start", "low", "high")
        return {
            "way": "joint",
            "split": SEARCH,
            "items": self.limit,
            "domains": list(self.domains),
            "objective": self.objective,
            "budget": self.most,
            "answers": self.answers,
            "axes": [{name: getattr(axis, name) for name in names} for axis in self.search.axes],
            "own": {domain: one.accuracy for domain, one in self.own.items()},
            "trials": [one.to_json() for one in self.trials],
            "best": self.trials[self.place].to_json(),
        }

    def to_frame(self) -> Any:
        """A pandas DataFrame, a line a trial: the values of the axes, the loss, and retentions as
        shares of 1. Raises InvalidValue without pandas."""
        return frame_of(
            _columns(one) | {"best": index == self.place} for index, one in enumerate(self.trials)
        )


def _columns(trial: JointTrial) -> dict[str, Any]:
    return {
        **trial.values,
        "loss_nats_per_token": trial.loss,
        "retention_share": trial.retention,
        **{f"retention_{domain}": share for domain, share in trial.retentions.items()},
    }


def search_jointly(
    recipe: MergeRecipe,
    ask: Ask,
    *,
    tasks: Sequence[str] | None = None,
    limit: int = JOINT_ITEMS,
    most: int | None = None,
    objective: str = "accuracy",
    per_model: bool = False,
    state: Path | TrialScores | None = None,
    watch: Watch | None = None,
    public: bool = False,
    beside: int = 1,
) -> JointResult:
    """Choose the factors, coefficient or scale, and strength of a merge together.

    The whole merge is scored, on the search items of every domain. Factors of 1 with the recipe's
    other values come first, then the recipe itself. An exam gives loss and accuracy in one pass, so
    all settings are compared by accuracy here.

    Args:
        recipe: Keeps everything but the numbers of its axes.
        tasks: The domain of each model; by default those of the embedded models.
        limit: Search items per domain.
        most: Settings to ask, at most; `usual_settings` if None.
        objective: `accuracy` or `loss`, see `joint_search`.
        per_model: Whether each model has its own factors.
        state: Keeps scores so that a stopped search can go on: a file, or a `TrialScores` made for
            this search. With a larger `most` it goes on too.
        beside: Exams in parallel, one thread each; all threads call `ask`.

    Raises:
        InvalidRecipe: nothing to choose, or partitions that do not fit shared factors.
        InvalidValue: a state of another search, a model without a domain, a domain model that
            answers nothing, or exams without losses.
    """
    axes = axes_of(recipe, per_model=per_model)
    most = usual_settings(axes) if most is None else most
    each = domains_for(recipe, tasks)
    facts = joint_made_by(recipe, each, limit, public=public)
    memory = state if isinstance(state, TrialScores) else TrialScores(state, facts)
    models = [(domain, model.model) for domain, model in zip(each, recipe.models, strict=True)]
    exams = _Exams(recipe, axes, models, limit, ask, memory, watch, beside)
    found = joint_search(
        axes,
        exams.losses,
        exams.accuracies,
        budget=Budget(most, most),
        extra=[given_point(recipe, axes)],
        objective=objective,
    )
    trials = tuple(exams.trials[one.values] for one in found.candidates)
    return JointResult(recipe, tuple(exams.own), limit, most, objective, exams.own, found, trials)


def joint_made_by(
    recipe: MergeRecipe, domains: Sequence[str], limit: int, *, public: bool = False
) -> dict[str, Any]:
    """Everything that the scores of a joint search depend on."""
    return made_by(recipe, domains, limit, public=public) | {"way": "joint"}


class _Exams:
    """The measures of a search: exams of merges, each held once."""

    def __init__(
        self,
        recipe: MergeRecipe,
        axes: tuple[SearchAxis, ...],
        models: Sequence[tuple[str, str]],
        limit: int,
        ask: Ask,
        memory: TrialScores,
        watch: Watch | None,
        beside: int,
    ) -> None:
        self._recipe, self._axes, self._limit, self._watch = recipe, axes, limit, watch
        self._ask, self._memory, self._beside, self._models = ask, memory, beside, models
        self.trials: dict[Point, JointTrial] = {}
        self.own: Scores = {}

    def losses(self, points: Sequence[Point]) -> list[float]:
        if not self.own:
            asked = [partial(self._remembered, model, of) for of, model in self._models]
            found = side_by_side(asked, min(self._beside, len(asked)))
            scores = zip((domain for domain, _ in self._models), found, strict=True)
            self.own = by_domain(scores, lambda score: score)
        return self._losses(points)

    def _losses(self, points: Sequence[Point]) -> list[float]:
        asked = [partial(self._score, point, domain) for point in points for domain in self.own]
        found = side_by_side(asked, min(self._beside, len(asked)))
        return [self._loss(point, found) for point in points]

    def accuracies(self, points: Sequence[Point]) -> list[float]:
        return [self.trials[point].retention for point in points]

    def _loss(self, point: Point, found: Iterator[DomainScore | None]) -> float:
        """The next trial, from the next scores."""
        scores = {domain: next(found) for domain in self.own}
        known = {domain: one for domain, one in scores.items() if one is not None}
        whole = len(known) == len(self.own)
        losses = [one.loss for one in known.values() if one.loss is not None]
        if len(losses) < len(known):
            raise InvalidValue("A joint search needs exams with the loss of the right answers.")
        values = {a.name: value for a, value in zip(self._axes, point, strict=False)}
        loss = balanced_loss(losses) if whole else None
        made = at_point(self._recipe, self._axes, point)
        trial = JointTrial(made, values, loss, retentions(known, self.own) if whole else {})
        self.trials[point] = trial
        if self._watch:
            self._watch(trial)
        return math.inf if loss is None else loss

    def _score(self, point: Point, domain: str) -> DomainScore | None:
        try:
            return self._remembered(at_point(self._recipe, self._axes, point), domain)
        except NonFiniteWeights:
            return None

    def _remembered(self, target: str | MergeRecipe, domain: str) -> DomainScore:
        named = recipe_hash(target) if isinstance(target, MergeRecipe) else target
        exam = Exam(target, domain, SEARCH, self._limit)
        return self._memory.score((f"{named} {domain}", ()), exam, self._ask)
