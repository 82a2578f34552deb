"""Questions of long computations on a merge. Their answers are cached, apart for each GPU; those of
the processor alone name no GPU."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import TypeAdapter

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.merging.in_memory.source import memory_of
from dppa_core.models.devices import expected_place, places_of_moved
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe
from dppa_core.system.folder_cache import load, store
from dppa_core.tasks.own_items import domain_key
from dppa_core.tuning.adamerging.adamerge import adamerge
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_core.tuning.adamerging.texts import task_domains
from dppa_lab.experiments.questions import (
    ExperimentExaminer,
    Place,
    digest,
    entry,
    identity_of,
    named,
)

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class KeptQuestion(ABC, Generic[A]):
    """A computation on a merge. Subclasses compute an answer, a dataclass, and say what it depends
    on beside the recipe, and what it is in a few words (`label`)."""

    kind: ClassVar[str]
    result: ClassVar[Any]
    """The class of the answer."""
    recipe: MergeRecipe

    @abstractmethod
    def parts(self) -> tuple[object, ...]: ...

    @abstractmethod
    def compute(self, stop: Stop | None) -> A: ...

    def key(self, place: Place = ()) -> str:
        """Key of weights, recipe, libraries and `parts`."""
        return digest(self.kind, identity_of(self.recipe, place), *self.parts())

    def expected_entry(self) -> Path:
        """The file of the answer where the base of the recipe is expected to be moved."""
        base = open_checkpoint(self.recipe.base)
        return entry(self.key(expected_place(*memory_of(base), exact=True)))

    def cached(self, examiner: ExperimentExaminer) -> A | None:
        """The answer of the GPU that is expected, or else that of the processor."""
        kept = load(self.expected_entry()) or load(entry(self.key()))
        return None if kept is None else TypeAdapter(self.result).validate_json(kept)

    def answer(self, examiner: ExperimentExaminer) -> A:
        """Compute the answer, and cache it."""
        with places_of_moved() as places:
            answer = self.compute(examiner.stop)
        keep(places, self.key, json.dumps(asdict(answer)))  # type: ignore[call-overload]
        return answer


def keep(places: Set[Place], key: Callable[[Place], str], text: str) -> None:
    """Keep an answer under the place where all its models computed; not if there were several.

    Args:
        places: See `places_of_moved`.
    """
    if len(places) == 1:
        store(entry(key(*places)), text.encode())


@dataclass(frozen=True, slots=True)
class AdaMerged:
    """The result of AdaMerging."""

    recipe: str
    """The recipe with the coefficients of the best checkpoint, as YAML."""
    step: int
    steps: int
    collapsed: bool
    """True if any checkpoint showed a collapse."""


@dataclass(frozen=True, slots=True)
class TuningQuestion(KeptQuestion[AdaMerged]):
    """Coefficients of a merge by AdaMerging."""

    kind = "tuning"
    result = AdaMerged
    domains: tuple[str, ...]
    """Embedded domains, one per model."""
    settings: AdaMergeSettings

    def parts(self) -> tuple[object, ...]:
        settings = json.dumps(asdict(self.settings), sort_keys=True)
        return list(map(domain_key, self.domains)), settings

    def compute(self, stop: Stop | None) -> AdaMerged:
        """Run AdaMerging; a stopped run resumes from its last checkpoint."""
        state = self._state()
        state.parent.mkdir(parents=True, exist_ok=True)
        domains = task_domains(self.domains, self.settings)
        result = adamerge(self.recipe, domains, self.settings, state=state, stop=stop)
        collapsed = any(snapshot.collapsed for snapshot in result.snapshots)
        recipe, last = dump_recipe(result.recipe), result.snapshots[-1]
        return AdaMerged(recipe, result.best.step, last.step, collapsed)

    def answer(self, examiner: ExperimentExaminer) -> AdaMerged:
        """Run AdaMerging, cache the result, and remove its checkpoint."""
        tuned = KeptQuestion.answer(self, examiner)
        self._state().unlink(missing_ok=True)
        return tuned

    def _state(self) -> Path:
        return self.expected_entry().with_suffix(".state.json")

    def label(self) -> str:
        return f"AdaMerging of {named(self.recipe)}: {', '.join(self.domains)}"
