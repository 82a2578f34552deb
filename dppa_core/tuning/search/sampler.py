"""Samplers: they propose settings, and learn from the scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    """A search as every sampler needs it."""

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
    """True if its domains may be asked in parallel."""
    keys: Mapping[str, Key] = field(default_factory=dict)
    """Domain -> the key under which its score is remembered; none of a study."""
    scores: dict[str, DomainScore | Failure] = field(default_factory=dict)
    asking: int = 0
    """Number of exams that are being held."""
    remembered: bool = True
    """True if all scores so far were remembered."""

    @property
    def is_scored(self) -> bool:
        """True if no domain is left to ask."""
        return not self.waiting and not self.asking


class Sampler(ABC):
    """Proposes settings one by one; called by one thread at a time."""

    @abstractmethod
    def ask(self) -> OpenTrial | None:
        """The next setting to score, without waiting domains if it failed at once; None if the
        search has ended, or cannot go on before open trials are scored."""

    @abstractmethod
    def tell(self, trial: OpenTrial) -> None:
        """Learn from another score of a trial; may clear its waiting domains."""

    @abstractmethod
    def result(self) -> SearchResult:
        """The trials so far, and the best."""

    @abstractmethod
    def close(self) -> None:
        """Give up what is not yet scored."""


class Walk(ABC):
    """A search written as a generator, with what its points stand for."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.trials: list[SearchTrial] = []
        self._begin(next(steps, ()))

    @abstractmethod
    def start(self, number: int, point: Point) -> OpenTrial:
        """Begin the trial of a point."""

    @abstractmethod
    def end(self, trial: OpenTrial) -> tuple[SearchTrial, float]:
        """A scored trial, and the score to send to the generator."""

    def _begin(self, points: Sequence[Point]) -> None:
        first = len(self.trials)
        self._new = deque(self.start(first + index, point) for index, point in enumerate(points))
        self._open: deque[OpenTrial] = deque()
        self._scores: list[float] = []

    def ask(self) -> OpenTrial | None:
        """The next trial of this batch."""
        if self._new:
            self._open.append(self._new.popleft())
            return self._open[-1]
        return None

    def tell(self) -> list[SearchTrial]:
        """End the trials that are scored, in the order of their numbers; then the next batch."""
        first = len(self.trials)
        while self._open and self._open[0].is_scored:
            trial, score = self.end(self._open.popleft())
            self.trials.append(trial)
            self._scores.append(score)
        if self._scores and not self._new and not self._open:
            try:
                self._begin(self._steps.send(self._scores))
            except StopIteration:
                self._scores = []
        return self.trials[first:]


class WalkSampler(Sampler):
    """Samples what walks ask, of several in parallel; in one thread, one walk after the other."""

    def __init__(self, walks: Sequence[Walk], task: SearchTask) -> None:
        self._walks, self._task = walks, task

    def ask(self) -> OpenTrial | None:
        """The next trial of the first walk that does not wait for scores."""
        return next((trial for walk in self._walks if (trial := walk.ask())), None)

    def tell(self, trial: OpenTrial) -> None:
        """Go on with the trial's walk."""
        for walk in self._walks:
            for ended in walk.tell():
                self._task.watch(ended)

    def close(self) -> None:
        """Give up nothing: remembered scores lead a later run to the same trials."""
