"""Greedy DPA on the search split: the paper's climb for the factors of every model of a recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import InvalidRecipe, InvalidValue
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.methods.registry import get_method
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, recipe_hash
from dppa_core.system.threads import side_by_side
from dppa_core.tuning.search.state import TrialScores
from dppa_core.tuning.search.trial import ITEMS, SEARCH, Ask, domains_for, task_score

STEP = 0.1
LARGEST = 4.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting and its score."""

    amplification: tuple[float, ...]
    score: float


@dataclass(frozen=True, slots=True)
class FactorSearch:
    """The best setting, and all trials."""

    best: Trial
    trials: tuple[Trial, ...]


def greedy_factors(
    score: Callable[[tuple[float, ...]], float], partitions: int, *, largest: float = LARGEST
) -> FactorSearch:
    """Find one amplification factor per partition (DPPA, arXiv 2403.02799).

    Start with the first band alone at factor 1. For each band: start its factor at 1, raise it by
    0.1 while the score improves, and keep the best. Unlike the authors' program this returns the
    best setting it has seen; of equal ones the first.

    Args:
        score: A setting's score, larger is better; use a held-out split, never the test split.
        partitions: Number of bands, at least 1.

    Raises:
        InvalidValue: no partition, or a score is not finite.
    """
    if partitions < 1:
        raise InvalidValue(f"partitions must be at least 1, got {partitions}.")
    trials: list[Trial] = []

    def attempt(amplification: tuple[float, ...]) -> Trial:
        found = score(amplification)
        if not math.isfinite(found):
            raise InvalidValue(
                f"The score of the factors {list(amplification)} is {found}, which cannot be "
                "compared. A domain without items, or a division by 0, is the usual cause."
            )
        trials.append(Trial(amplification, found))
        return trials[-1]

    best = Trial((0.0,) * partitions, float("-inf"))
    for band in range(partitions):
        before, after = best.amplification[:band], (0.0,) * (partitions - band - 1)
        factor, last = 1.0, attempt((*before, 1.0, *after))
        best = max((best, last), key=lambda trial: trial.score)
        while factor + STEP <= largest + 1e-9:
            factor = round(factor + STEP, 10)
            trial = attempt((*before, factor, *after))
            if trial.score <= last.score:
                break
            last, best = trial, max((best, trial), key=lambda trial: trial.score)
    return FactorSearch(best, tuple(trials))


Watch = Callable[[str, Trial, bool], None]
"""Called with a model's reference, a trial, and whether its score was known before."""


@dataclass(frozen=True, slots=True)
class ClimbResult:
    """Factors for every model of a recipe, and the trials behind them."""

    given: MergeRecipe
    domains: tuple[str, ...]
    limit: int
    own: tuple[DomainScore, ...]
    """Score of each domain model itself, on the search items of its domain."""
    searches: tuple[FactorSearch, ...]

    @property
    def recipe(self) -> MergeRecipe:
        """The given recipe with the factors found."""
        models = tuple(
            replace(model, amplification=search.best.amplification)
            for model, search in zip(self.given.models, self.searches, strict=True)
        )
        return replace(self.given, models=models)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy; scores are fractions of the domain model's own."""
        models = [
            {
                "model": model.model,
                "domain": domain,
                "levels": list(model.levels),
                "factors": list(search.best.amplification),
                "score": search.best.score,
                "own_accuracy": own.accuracy,
                "trials": [
                    {"factors": list(trial.amplification), "score": trial.score}
                    for trial in search.trials
                ],
            }
            for model, domain, own, search in zip(
                self.given.models, self.domains, self.own, self.searches, strict=True
            )
        ]
        return {"way": "climb", "split": SEARCH, "items": self.limit, "models": models}


def alone(recipe: MergeRecipe, model: DomainModel) -> MergeRecipe:
    """The merge the paper scores: one model's pruned and amplified delta on the base."""
    return replace(recipe, models=(replace(model, coefficient=1.0),))


def climb(
    recipe: MergeRecipe,
    ask: Ask,
    *,
    tasks: Sequence[str] | None = None,
    limit: int = ITEMS,
    state: Path | TrialScores | None = None,
    watch: Watch | None = None,
    public: bool = False,
    beside: int = 1,
) -> ClimbResult:
    """Find amplification factors for each model of a recipe.

    Each model alone is added to the base and scored on the search items of its domain. So climbs
    are independent: running several in parallel does not change their results.

    Args:
        recipe: Keeps its levels, parameters and coefficients; its factors are ignored.
        tasks: The domain of each model; by default those of the embedded models.
        limit: Search items per domain.
        state: Keeps scores so that a stopped search can go on: a file, or a `TrialScores` made for
            this search.
        beside: Models in parallel, one thread each; all threads call `ask` and `watch`.

    Raises:
        InvalidRecipe: a method without partitions.
        InvalidValue: a state of another search, a model without a domain, or a domain model that
            answers none of a task's items.
    """
    check_climbable(recipe)
    domains = domains_for(recipe, tasks)
    facts = made_by(recipe, domains, limit, public=public)
    memory = state if isinstance(state, TrialScores) else TrialScores(state, facts)
    climbs = [
        partial(_climb_one, recipe, model, domain, limit, ask, memory, watch)
        for model, domain in zip(recipe.models, domains, strict=True)
    ]
    own, searches = zip(*side_by_side(climbs, min(beside, len(climbs))), strict=True)
    return ClimbResult(recipe, domains, limit, own, searches)


def _climb_one(
    recipe: MergeRecipe,
    model: DomainModel,
    domain: str,
    limit: int,
    ask: Ask,
    memory: TrialScores,
    watch: Watch | None,
) -> tuple[DomainScore, FactorSearch]:
    exam = Exam(model.model, domain, SEARCH, limit)
    own = _remembered(memory, ask, (model.model, ()), exam)

    def score(factors: tuple[float, ...]) -> float:
        key = model.model, factors
        known = memory.find(key) is not None
        tried = alone(recipe, replace(model, amplification=factors))
        found = task_score(
            _remembered(memory, ask, key, Exam(tried, domain, SEARCH, limit)), own, model.model
        )
        if watch:
            watch(model.model, Trial(factors, found), known)
        return found

    return own, greedy_factors(score, len(model.levels))


def _remembered(
    memory: TrialScores, ask: Ask, key: tuple[str, tuple[float, ...]], exam: Exam
) -> DomainScore:
    found = memory.find(key)
    if found is None:
        found = ask(exam)
        memory.keep(key, found)
    return found


def check_climbable(recipe: MergeRecipe) -> None:
    """Refuse recipes whose method has no partitions.

    Raises:
        InvalidRecipe: the method has no levels, drops at random, or keeps everything.
    """
    pruner = recipe.prune.method if recipe.prune else recipe.method
    if get_method(pruner).levels != "many":
        raise InvalidRecipe(
            f"method {pruner}: it has no partitions, so there are no factors to climb. Choose dppa "
            "or magnitude, or search its other settings with --vary."
        )


def made_by(
    recipe: MergeRecipe, domains: Sequence[str], limit: int, *, public: bool = False
) -> dict[str, Any]:
    """Everything that the scores of a climb depend on."""
    plain = tuple(replace(model, amplification=(1.0,), coefficient=1.0) for model in recipe.models)
    references = (recipe.base, *(model.model for model in recipe.models))
    weights = [open_checkpoint(name, public=public).content_hash() for name in references]
    return {
        "recipe": recipe_hash(replace(recipe, models=plain)),
        "weights": weights,
        "domains": list(domains),
        "items": limit,
    }
