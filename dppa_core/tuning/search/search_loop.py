"""Runs a search: its sampler proposes settings, threads hold their exams."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dppa_core.errors import InvalidRecipe, NonFiniteWeights
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.progress import Stop, check
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.threads import side_by_side
from dppa_core.tuning.search.climb import ClimbSampler
from dppa_core.tuning.search.joint_sampler import JointSampler
from dppa_core.tuning.search.options import (
    SearchOptions,
    behaviour_of_exams,
    check_objectives,
    checked_options,
    options_for,
)
from dppa_core.tuning.search.results import SearchResult, Watch
from dppa_core.tuning.search.sampler import Failure, OpenTrial, Sampler, SearchTask
from dppa_core.tuning.search.scoring import SEARCH, Ask, domains_for
from dppa_core.tuning.search.state import ScoreMemory, made_by

if TYPE_CHECKING:
    import optuna

    State = Path | ScoreMemory | optuna.storages.BaseStorage | None


def run_search(
    recipe: MergeRecipe,
    options: SearchOptions,
    ask: Ask,
    *,
    tasks: Sequence[str] | None = None,
    state: State = None,
    name: str = "dppa",
    watch: Watch | None = None,
    stop: Stop | None = None,
    public: bool = False,
    beside: int = 1,
) -> SearchResult:
    """Search until the sampler ends or has tried as many settings as the options say.

    A climb and a joint search give the same result however often they were stopped, and however
    many exams are held in parallel. What Optuna draws next depends on which trial ends first.

    Args:
        recipe: Gives all settings that do not vary.
        ask: Holds exams, in several threads; raises Cancelled once the search is stopped.
        tasks: The domain of each model; by default those of the embedded models.
        state: Keeps scores so that a stopped search can go on: a file (of a study an SQLite
            database), or the value of `new_state`. In memory if None.
        name: The study's name in its database.
        watch: Called with each trial that ends, those of earlier runs included.
        stop: Checked before each trial; the state stays.
        public: Whether untrusted users chose the models; local folders are then refused.
        beside: Exams in parallel, one thread each.

    Raises:
        InvalidRecipe: a recipe that this way cannot search.
        InvalidValue: options that do not fit, a state of another search, a model without a domain,
            a domain model that answers nothing, or exams without losses for a joint search.
        Cancelled: as requested.
    """
    options = options_for(checked_options(options), recipe)
    domains = domains_for(recipe, tasks)
    facts = made_by(recipe, options, domains, public=public)
    make: Callable[[SearchTask], Sampler]
    if options.in_study:
        from dppa_core.tuning.search.optuna_sampler import OptunaSampler  # noqa: PLC0415  (slow)
        from dppa_core.tuning.search.optuna_study import open_study  # noqa: PLC0415

        check_objectives(options.objectives, domains)
        storage = None if isinstance(state, ScoreMemory) else state
        make = partial(OptunaSampler, open_study(recipe, options, facts, storage, name))
        memory = ScoreMemory(None, facts)
    else:
        path = state if isinstance(state, Path) else None
        memory = state if isinstance(state, ScoreMemory) else ScoreMemory(path, facts)
        make = JointSampler if options.joint else ClimbSampler
    exams = _Exams(memory, ask, options, beside)
    scores = exams.of_models(recipe, domains, by_domain=options.way != "climb")
    task = SearchTask(recipe, options, domains, scores, watch or (lambda _: None), public)
    with closing(make(task)) as sampler:
        exams.hold(sampler, stop)
        return sampler.result()


def new_state(options: SearchOptions, made_by: Mapping[str, Any]) -> State:
    """A state in memory, for several runs of a search.

    Args:
        made_by: Everything that its scores depend on.
    """
    if not options.in_study:
        return ScoreMemory(None, made_by)
    from optuna.storages import InMemoryStorage  # noqa: PLC0415  (slow)

    return InMemoryStorage()


class _Exams:
    """Holds exams on the search split, `beside` of them in parallel."""

    def __init__(self, memory: ScoreMemory, ask: Ask, options: SearchOptions, beside: int) -> None:
        self._memory, self._ask, self._options, self._beside = memory, ask, options, beside
        self._open: list[OpenTrial] = []
        self._changed = threading.Condition()
        self._ended = False

    def of_models(
        self, recipe: MergeRecipe, domains: Sequence[str], *, by_domain: bool
    ) -> tuple[DomainScore, ...]:
        """Score of each model itself on its domain, remembered by model, or by both."""
        exams = []
        for model, domain in zip(recipe.models, domains, strict=True):
            key = f"{model.model} {domain}" if by_domain else model.model
            exam = Exam(model.model, domain, SEARCH, self._options.limit)
            exams.append(partial(self._memory.score, (key, ()), exam, self._ask))
        return tuple(side_by_side(exams, min(self._beside, len(exams))))

    def hold(self, sampler: Sampler, stop: Stop | None) -> None:
        """Hold exams until the sampler has no more; an error ends all."""
        works = [partial(self._work, sampler, stop)] * self._beside
        with closing(side_by_side(works, self._beside)) as workers:
            try:
                for _ in workers:
                    pass
            finally:
                self._end()

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _work(self, sampler: Sampler, stop: Stop | None) -> None:
        try:
            while exam := self._next(sampler, stop):
                trial, domain = exam
                score = self._score(trial, domain)
                with self._changed:
                    trial.scores[domain] = score
                    trial.asking -= 1
                    sampler.tell(trial)
                    if trial.is_scored:
                        self._open.remove(trial)
                    self._changed.notify_all()
        finally:
            self._end()

    def _next(self, sampler: Sampler, stop: Stop | None) -> tuple[OpenTrial, str] | None:
        """A trial and the domain to ask next; None at the end."""
        with self._changed:
            while not self._ended:
                for trial in self._open:
                    if trial.waiting and (trial.together or not trial.asking):
                        trial.asking += 1
                        return trial, trial.waiting.popleft()
                check(stop)
                if new := sampler.ask():
                    self._open += [new] if new.waiting else []
                elif self._open:
                    self._changed.wait()
                else:
                    break
            return None

    def _score(self, trial: OpenTrial, domain: str) -> DomainScore | Failure:
        options, recipe, key = self._options, trial.recipe, trial.keys.get(domain)
        asked = behaviour_of_exams(options.objectives, recipe.base)
        exam = Exam(recipe, domain, SEARCH, options.limit, *asked)
        try:
            if key is None or key not in self._memory:
                trial.remembered = False
            return self._memory.score(key, exam, self._ask) if key else self._ask(exam)
        except (InvalidRecipe, NonFiniteWeights) as error:
            return error
