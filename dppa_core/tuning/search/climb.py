"""Greedy DPA on the search split: the paper's climb for the factors of every model of a recipe."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import InvalidRecipe, many
from dppa_core.evaluation.scores import DomainScore, Exam, TaskScore, references_of
from dppa_core.evaluation.tables import factors_text
from dppa_core.methods.registry import get_method
from dppa_core.parameter_fields import check_number
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, recipe_hash
from dppa_core.system.frames import frame_of
from dppa_core.system.state_file import StateFile
from dppa_core.system.threads import side_by_side
from dppa_core.tasks.intervals import wilson
from dppa_core.tasks.own_items import domain_key
from dppa_core.tuning.search.greedy_factors import FactorSearch, Trial, greedy_factors
from dppa_core.tuning.search.trial import (
    ITEMS,
    SEARCH,
    Ask,
    domains_for,
    single_recipe,
    task_score,
)

Key = tuple[str, tuple[float, ...]]
"""A domain model and its factors; no factors for the model itself."""


class TrialScores:
    """Scores by setting, written to the file as soon as they are known. Thread-safe.

    Args:
        path: The file; None keeps scores in memory only.
        made_by: What the scores depend on; a file with other values is refused.

    Raises:
        InvalidValue: the file is no state of a search, or one of another search.
    """

    def __init__(self, path: Path | None, made_by: Mapping[str, Any]) -> None:
        self._file = StateFile(path, "search", "search", made_by) if path else None
        self._known = (self._file.load(_scores) if self._file else None) or {}
        self._lock = threading.Lock()

    def find(self, key: Key) -> DomainScore | None:
        """The known score of a setting, or None."""
        return self._known.get(key)

    def score(self, key: Key, exam: Exam, ask: Ask) -> DomainScore:
        """The score of a setting: the known one, or that of an exam held now."""
        found = self.find(key)
        if found is None:
            found = ask(exam)
            self._keep(key, found)
        return found

    def _keep(self, key: Key, score: DomainScore) -> None:
        with self._lock:
            self._known[key] = score
            rows = []
            for (model, factors), one in self._known.items():  # whole numbers restore the score
                tasks = {k: [round(v.accuracy * v.n), v.n] for k, v in one.tasks.items()}
                row = {"model": model, "factors": factors, "tasks": tasks}
                rows.append(row if one.loss is None else {**row, "loss": one.loss})
            if self._file:
                self._file.save({"scores": rows})


def _score(tasks: Mapping[str, Any], loss: object) -> DomainScore:
    counts = {str(name): (int(right), int(n)) for name, (right, n) in tasks.items()}
    if not counts or any(not 0 <= right <= n or n < 1 for right, n in counts.values()):
        raise ValueError(f"counts of right answers {counts}")
    right, n = (sum(column) for column in zip(*counts.values(), strict=True))
    parts = {name: TaskScore(hits / of, of) for name, (hits, of) in counts.items()}
    mean = None if loss is None else check_number("loss", loss, 0, math.inf)
    return DomainScore(right / n, wilson(right, n), n, parts, mean)


def _scores(value: Mapping[str, Any]) -> dict[Key, DomainScore]:
    return {
        (str(row["model"]), tuple(map(float, row["factors"]))): _score(
            row["tasks"], row.get("loss")
        )
        for row in value["scores"]
    }


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

    def __repr__(self) -> str:
        count = sum(len(search.trials) for search in self.searches)
        best = "; ".join(
            f"{model.model} {factors_text(search.best.amplification)} ({search.best.score:.1%})"
            for model, search in zip(self.given.models, self.searches, strict=True)
        )
        return f"ClimbResult({many(count, 'setting')} tried; best factors: {best})"

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

    def to_frame(self) -> Any:
        """A pandas DataFrame, a line a trial: the model's factors, and the score as a share of the
        domain model's own. Raises InvalidValue without pandas."""
        return frame_of(
            {"model": model.model, "domain": str(domain)}
            | {f"factor_{k + 1}": factor for k, factor in enumerate(trial.amplification)}
            | {"retention_share": trial.score, "best": trial == search.best}
            for model, domain, search in zip(
                self.given.models, self.domains, self.searches, strict=True
            )
            for trial in search.trials
        )


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
    facts = climb_made_by(recipe, domains, limit, public=public)
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
    own = memory.score((model.model, ()), exam, ask)

    def score(factors: tuple[float, ...]) -> float:
        key = model.model, factors
        known = memory.find(key) is not None
        tried = single_recipe(recipe, replace(model, amplification=factors))
        here = memory.score(key, Exam(tried, domain, SEARCH, limit), ask)
        found = task_score(here, own, model.model)
        if watch:
            watch(model.model, Trial(factors, found), known)
        return found

    return own, greedy_factors(score, len(model.levels))


def check_climbable(recipe: MergeRecipe) -> None:
    """Raise InvalidRecipe for a method without partitions."""
    pruner = recipe.prune.method if recipe.prune else recipe.method
    if get_method(pruner).levels != "many":
        raise InvalidRecipe(
            f"method {pruner}: it has no partitions, so there are no factors to climb. Choose dppa "
            "or magnitude, or search its other settings with --vary."
        )


def climb_made_by(
    recipe: MergeRecipe, domains: Sequence[str], limit: int, *, public: bool = False
) -> dict[str, Any]:
    """Everything that the scores of a climb depend on; it leaves out a method after the pruning."""
    facts = made_by(recipe, domains, limit, public=public)
    return facts | {"alone": recipe.prune.method} if recipe.prune else facts


def made_by(
    recipe: MergeRecipe, domains: Sequence[str], limit: int, *, public: bool = False
) -> dict[str, Any]:
    """The facts of every search: the recipe without factors and coefficients, the weights, and the
    questions."""
    plain = tuple(replace(model, amplification=(1.0,), coefficient=1.0) for model in recipe.models)
    opened = (open_checkpoint(name, public=public) for name in references_of(recipe))
    return {
        "recipe": recipe_hash(replace(recipe, models=plain)),
        "weights": [one.content_hash() for one in opened],
        "domains": list(map(domain_key, domains)),
        "items": limit,
    }
