"""The scores of a search in a file, so that a stopped search can go on."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation.scores import DomainScore, Exam, TaskScore, references_of
from dppa_core.parameter_fields import check_number
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.state_file import StateFile
from dppa_core.tasks.intervals import wilson
from dppa_core.tasks.own_items import domain_key
from dppa_core.tuning.search.options import SearchOptions
from dppa_core.tuning.search.scoring import Ask

Key = tuple[str, tuple[float, ...]]
"""A scored target: of a climb a model with its factors, none for the model itself; of other
searches a model or the hash of a recipe, then the domain."""


class ScoreMemory:
    """Scores by key, written to the file as soon as they are known. Thread-safe.

    Args:
        path: The file; None keeps scores in memory only.
        made_by: What the scores depend on; a file with other values is refused.

    Raises:
        InvalidValue: the file is no state of a search, or one of another search.
    """

    def __init__(self, path: Path | None, made_by: Mapping[str, Any]) -> None:
        self._file = StateFile(path, "search", "search", made_by) if path else None
        self._scores = (self._file.load(_read_scores) if self._file else None) or {}
        self._lock = threading.Lock()

    def __contains__(self, key: Key) -> bool:
        return key in self._scores

    def score(self, key: Key, exam: Exam, ask: Ask) -> DomainScore:
        """The score under a key: the known one, or that of an exam held now."""
        score = self._scores.get(key)
        if score is None:
            score = ask(exam)
            self._keep(key, score)
        return score

    def _keep(self, key: Key, score: DomainScore) -> None:
        with self._lock:
            self._scores[key] = score
            if self._file:
                self._file.save({"scores": [_row(*entry) for entry in self._scores.items()]})


def _row(key: Key, score: DomainScore) -> dict[str, Any]:
    """A score by whole numbers, which restore it."""
    tasks = {name: [round(task.accuracy * task.n), task.n] for name, task in score.tasks.items()}
    row = {"model": key[0], "factors": key[1], "tasks": tasks}
    return row if score.loss is None else {**row, "loss": score.loss}


def _read_scores(value: Mapping[str, Any]) -> dict[Key, DomainScore]:
    return {
        (str(row["model"]), tuple(map(float, row["factors"]))): _read_score(
            row["tasks"], row.get("loss")
        )
        for row in value["scores"]
    }


def _read_score(tasks: Mapping[str, Any], loss: object) -> DomainScore:
    counts = {str(name): (int(right), int(n)) for name, (right, n) in tasks.items()}
    if not counts or any(not 0 <= right <= n or n < 1 for right, n in counts.values()):
        raise ValueError(f"counts of right answers {counts}")
    right, n = (sum(column) for column in zip(*counts.values(), strict=True))
    parts = {name: TaskScore(hits / total, total) for name, (hits, total) in counts.items()}
    mean = None if loss is None else check_number("loss", loss, 0, math.inf)
    return DomainScore(right / n, wilson(right, n), n, parts, mean)


def made_by(
    recipe: MergeRecipe, options: SearchOptions, domains: Sequence[str], *, public: bool = False
) -> dict[str, Any]:
    """Everything that the scores of a search depend on: the recipe without factors and
    coefficients, the weights, the questions, and what else its way goes by.

    Args:
        domains: One per model.
    """
    plain = tuple(replace(model, amplification=(1.0,), coefficient=1.0) for model in recipe.models)
    checkpoints = (open_checkpoint(name, public=public) for name in references_of(recipe))
    scored = dict.fromkeys(domains) if options.in_study else domains
    facts = {
        "recipe": recipe_hash(replace(recipe, models=plain)),
        "weights": [checkpoint.content_hash() for checkpoint in checkpoints],
        "domains": list(map(domain_key, scored)),
        "items": options.limit,
        **({"judge": options.judge} if options.judge else {}),
    }
    if options.joint:
        return facts | {"way": "joint"}
    if options.in_study:  # factors and coefficients that do not vary count, too
        return facts | {"given": recipe_hash(recipe)}
    # a climb leaves out a method after the pruning
    return facts | {"alone": recipe.prune.method} if recipe.prune else facts
