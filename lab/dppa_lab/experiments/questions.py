"""The questions of experiments: items for a model or merge, see also `kept_questions.py`.

A question depends on its values alone, so that any process can answer it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from dppa_core.charts.tables import factors_text
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.harness_tasks import task_files
from dppa_core.evaluation.identity import identity
from dppa_core.evaluation.lm_eval_harness import Harness
from dppa_core.evaluation.scores import Exam, Marks, Target, references_of
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.devices import place_of
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.folder_cache import cache_folder, load, store
from dppa_core.tasks.own_items import domain_key

A = TypeVar("A", covariant=True)
Place = tuple[str, ...]
"""See `place_of`."""


class ExperimentExaminer(Examiner):
    """Examiner of one process: models stay in memory, items and tasks are read once.

    Args:
        byte_budget: Most bytes of its models in memory; `memory_budget` if unset.
    """

    def __init__(self, stop: Stop | None = None, byte_budget: int | None = None) -> None:
        super().__init__(ModelPool(byte_budget), workers=1)
        self.stop = stop
        self._harnesses: dict[tuple[str, str | None, int | None], Harness] = {}

    def harness(self, task: str, folder: str | None, limit: int | None) -> Harness:
        """The harness of a task and a number of documents."""
        key = task, folder, limit
        if key not in self._harnesses:
            self._harnesses[key] = Harness([task], Path(folder) if folder else None, limit)
        return self._harnesses[key]


@runtime_checkable
class Question(Protocol[A]):
    """A frozen value that can be hashed and sent to another process."""

    def key(self) -> str:
        """Equal for questions with equal weights, recipe, items, libraries and settings; some
        take the place that computes, for their cached answers."""
        ...

    def cached(self, examiner: ExperimentExaminer) -> A | None:
        """The cached answer, or None; loads no model."""
        ...

    def answer(self, examiner: ExperimentExaminer) -> A:
        """Find the answer, and cache it."""
        ...

    def label(self) -> str:
        """The question in a few words, for progress."""
        ...


class ExamQuestion(Exam):
    """Items of a domain for a model or merge; the answer is their marks."""

    __slots__ = ()

    def key(self) -> str:
        """Key of weights, recipe, items and libraries."""
        return digest(
            "exam", identity_of(self.target), domain_key(self.domain), self.split, self.limit
        )

    def cached(self, examiner: ExperimentExaminer) -> Marks | None:
        """Marks from the cache shared with `dppa evaluate`."""
        return examiner.cached_marks(self)

    def answer(self, examiner: ExperimentExaminer) -> Marks:
        """Ask every item."""
        return examiner.marks(self, stop=examiner.stop)

    def label(self) -> str:
        """Method, rates, domain."""
        return f"{named(self.target)}: {self.domain}, {self.split}"


@dataclass(frozen=True, slots=True)
class DocumentsQuestion:
    """A task of lm-evaluation-harness for a model or merge; the answer is marks without losses.

    Its first documents are the search split, the others the test split, as not every task has two
    splits.
    """

    target: Target
    task: str
    split: str
    search: int
    test: int | None
    """Number of documents after them; all if None."""
    folder: str | None = None
    """Folder of the user's task files."""

    def key(self, place: Place = ()) -> str:
        """Key of weights, recipe, libraries, the task's name and files, and number of documents."""
        files = task_files(Path(self.folder) if self.folder else None)
        documents = self.task, self.search, self.test, self.folder, files
        return digest("documents", identity_of(self.target, place), *documents)

    def cached(self, examiner: ExperimentExaminer) -> Marks | None:
        """From the experiments' own cache."""
        expected = examiner.pool.expected_place(open_checkpoint(references_of(self.target)[0]))
        kept = load(entry(self.key(expected)))
        return None if kept is None else self._part(json.loads(kept))

    def answer(self, examiner: ExperimentExaminer) -> Marks:
        """Ask every document of both splits at once.

        Raises:
            InvalidValue: no metric of the task marks every document right or wrong.
        """
        limit = None if self.test is None else self.search + self.test
        with examiner.lend(self.target, examiner.stop) as resident:
            path = entry(self.key(place_of(resident.model)))
            kept = load(path)
            if kept is not None:  # by the processor, as the expected GPU has no room
                return self._part(json.loads(kept))
            results = examiner.harness(self.task, self.folder, limit).ask(resident)
        hits = next(
            (
                result.documents
                for result in results
                if result.documents and set(result.documents) <= {0.0, 1.0}
            ),
            None,
        )
        if hits is None:
            raise InvalidValue(
                f"{self.task}: none of its metrics marks every document right or wrong, so merges "
                "cannot be compared item by item. Accuracies do; perplexities and BLEU do not."
            )
        if len(hits) <= self.search:
            raise InvalidValue(
                f"{self.task}: it has {len(hits)} documents and {self.search} of them are for "
                "choosing settings, so none is left to test. Use fewer (--search-limit)."
            )
        store(path, json.dumps([int(hit) for hit in hits]).encode())
        return self._part(hits)

    def label(self) -> str:
        """Method, rates, task."""
        return f"{named(self.target)}: {self.task}, {self.split}"

    def _part(self, hits: Any) -> Marks:
        part = hits[: self.search] if self.split == "search" else hits[self.search :]
        return Marks(tuple(bool(hit) for hit in part), (), ())


Answers = Mapping[Question[Any], Any]


def entry(key: str) -> Path:
    """The file of an answer in the experiments' own cache."""
    return cache_folder("experiments") / f"{key}.json"


def digest(*parts: object) -> str:
    """The key of a question from all it depends on."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def identity_of(target: Target, place: Place = ()) -> str:
    """The target's identity, cached in this process: weights do not change during a run."""
    return identity(target, lambda _: place)


def named(target: Target) -> str:
    """A model or merge in a few words, for progress."""
    if not isinstance(target, MergeRecipe):
        return target
    models = "+".join(model.model.rpartition(":")[2].rpartition("/")[2] for model in target.models)
    first = target.models[0]
    rate = f" {100 * first.levels[-1]:g} %" if first.levels[-1] else ""
    significance = str(target.parameters.get("significance", ""))
    by = f", ranked by {significance}" if significance else ""
    seed = f", draw {target.seed + 1}" if target.seed else ""
    return f"{models} by {target.method}{rate}{by}{_factors(target)}{seed}"


def _factors(recipe: MergeRecipe) -> str:
    """Factors and coefficients that distinguish the merges of a search."""
    texts = [factors_text(model.amplification) for model in recipe.models]
    banded = any(len(model.amplification) > 1 for model in recipe.models)
    factors = f", factors {', '.join(texts)}" if banded else ""
    sizes = {
        model.coefficient for model in recipe.models if isinstance(model.coefficient, float | int)
    }
    unusual = sorted(sizes - {1.0})
    return factors + (f", × {', '.join(f'{size:g}' for size in unusual)}" if unusual else "")
