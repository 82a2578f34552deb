"""Samplers: they propose settings, and learn from the scores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dppa_core.errors import InvalidRecipe, NonFiniteWeights
from dppa_core.evaluation.scores import DomainScore
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tuning.search.axes import Point
from dppa_core.tuning.search.joint import Steps
from dppa_core.tuning.search.options import SearchOptions
from dppa_core.tuning.search.results import SearchResult, SearchTrial, Watch
from dppa_core.tuning.search.space import Value
from dppa_core.tuning.search.state import Key

Failure = InvalidRecipe | NonFiniteWeights


@dataclass(frozen=True, slots=True)
class SearchTask:
    """What every sampler is given."""

    recipe: MergeRecipe
    options: SearchOptions
    domains: tuple[str, ...]
    """One per model."""
    model_scores: tuple[DomainScore, ...]
    """Score of each model itself on the search items of its domain."""
    watch: Watch
    public: bool


@dataclass(slots=True, eq=False)
class OpenTrial:
    """A setting that is being scored."""

    number: int
    values: Mapping[str, Value]
    recipe: MergeRecipe
    waiting: deque[str]
    """Domains still to be asked, in order."""
    together: bool = True
    """Whether its domains may be asked in parallel."""
    keys: Mapping[str, Key] = field(default_factory=dict)
    """Domain -> the key under which its score is remembered; none of a study."""
    scores: dict[str, DomainScore | Failure] = field(default_factory=dict)
    asking: int = 0
    """Number of exams that are being held."""
    remembered: bool = True
    """Whether all scores so far were remembered."""


class Sampler(Protocol):
    """Proposes settings one by one; called by one thread at a time."""

    def ask(self) -> OpenTrial | None:
        """The next setting to score, without waiting domains if it failed at once; None if the
        search has ended, or cannot go on before open trials are scored."""
        ...

    def tell(self, trial: OpenTrial) -> None:
        """Learn from another score of a trial; may clear its waiting domains."""
        ...

    def close(self) -> None:
        """Give up what is not yet scored."""
        ...

    def result(self) -> SearchResult:
        """The trials so far, and the best."""
        ...


class Walk:
    """A search as a generator, with what its points stand for.

    Args:
        start: Begins the trial of a point, by its number.
        end: The trial with its scores, and the score to send.
    """

    def __init__(
        self,
        steps: Steps,
        start: Callable[[int, Point], OpenTrial],
        end: Callable[[OpenTrial], tuple[SearchTrial, float]],
    ) -> None:
        self._steps, self._start, self._end = steps, start, end
        self._batch: Sequence[Point] = next(steps, ())
        self._open: list[OpenTrial] = []
        self._scores: list[float] = []
        self.trials: list[SearchTrial] = []

    def ask(self) -> OpenTrial | None:
        """The next trial of this batch."""
        index = len(self._open) + len(self._scores)
        if index == len(self._batch):
            return None
        self._open.append(self._start(len(self.trials) + len(self._open), self._batch[index]))
        return self._open[-1]

    def tell(self) -> list[SearchTrial]:
        """End the trials that are scored, in the order of their numbers; then the next batch."""
        first = len(self.trials)
        while self._open and not self._open[0].waiting and not self._open[0].asking:
            trial, score = self._end(self._open.pop(0))
            self.trials.append(trial)
            self._scores.append(score)
        if len(self._scores) == len(self._batch):
            self._advance()
        return self.trials[first:]

    def _advance(self) -> None:
        scores, self._scores = self._scores, []
        try:
            self._batch = self._steps.send(scores)
        except StopIteration:
            self._batch = ()


class WalkSampler:
    """Samples what walks ask, of several in parallel; alone, one walk after the other."""

    def __init__(
        self,
        walks: Sequence[Walk],
        watch: Watch,
        result: Callable[[Sequence[Sequence[SearchTrial]]], SearchResult],
    ) -> None:
        self._walks, self._watch, self._result = walks, watch, result

    def ask(self) -> OpenTrial | None:
        """The next trial of the first walk that does not wait for scores."""
        return next((trial for walk in self._walks if (trial := walk.ask())), None)

    def tell(self, trial: OpenTrial) -> None:
        """Go on with the trial's walk."""
        for walk in self._walks:
            for ended in walk.tell():
                self._watch(ended)

    def close(self) -> None:
        """Nothing to give up: remembered scores lead a later run to the same trials."""

    def result(self) -> SearchResult:
        """The result from the trials of each walk."""
        return self._result([walk.trials for walk in self._walks])
