"""Services that all visitors share: plans, models in memory, answers, and work in threads.

It stores no visitor's data, and imports no Gradio: the answering process starts before that is
imported. The part that needs torch is imported on first use, by a thread, after the page is up.
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from dppa_core.answering.answerer import Answerer
from dppa_core.answering.process import ProcessAnswerer
from dppa_core.checkpoints.sources.fetchable import FETCHABLE
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.models.reply import GenerationSettings
from dppa_core.models.resident import check_whole
from dppa_core.progress import Progress, Stop, check
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.byte_sizes import MEMORY_VARIABLE, memory_budget
from dppa_core.system.machine import on_zero
from dppa_core.system.recent import Recent
from dppa_core.system.threads import available_cores

from .answers_in_progress import AnswersInProgress, PausingStop
from .job import Emit, Job, Work, jobs_of_event
from .kinds import CHATS, Kind
from .lent_gpu import LentGpu
from .malloc_and_gc import MemoryTrimmer, keep_what_is_there
from .plans import Plans
from .work_log import WorkMetrics

if TYPE_CHECKING:
    from dppa_core.evaluation.analysis.merge_effect import MergeEffect
    from dppa_core.evaluation.examiner import Examiner
    from dppa_core.merging.in_memory.model_pool import ModelPool
    from dppa_core.models.resident import Resident

BYTE_BUDGET = 1536 * 1024**2
"""Bytes of models in memory, unless `DPPA_MEMORY` says otherwise; one's own copy may use half of
the free memory if that is more."""
WORKERS = 12 + CHATS.at_once
"""Threads for work: more than may run at a time, so that no kind waits for another."""
ANSWER_WORKERS = max(1, available_cores() - 1)
"""Models that compute a token at the same time; one core is left to the page."""
WARM_AFTER = 6.0
"""Seconds after which torch is imported even if nobody has opened the page."""

T = TypeVar("T")

__all__ = ["Emit", "Job", "Studio"]


AT_ONCE = 6
"""Models of float32 in the budget: a third of it, this process's, holds a merge and its base."""


def byte_budget(*, public: bool) -> int:
    """Bytes of models this page may hold in memory; a public page has a fixed limit by default, a
    larger one where a real model was fetched for it."""
    if os.environ.get(MEMORY_VARIABLE):
        return memory_budget()
    fetched = (AT_ONCE * 4 * model.parameters for model in FETCHABLE.values() if model.is_fetched)
    least = max((BYTE_BUDGET, *fetched))
    return least if public else max(least, memory_budget())


def _giving_way(people: AnswersInProgress, work: Work, emit: Emit, stop: Stop) -> None:
    work(emit, PausingStop(people, stop))


class Studio(Plans):
    """The services behind the page; with `apart`, a separate process computes the answers."""

    def __init__(self, *, public: bool, apart: bool = False) -> None:
        super().__init__(public=public)
        self.opened = threading.Event()
        """Set when the first page has been drawn."""
        self._examiner: Examiner | None = None
        self._outcomes = Recent(64)
        self._importing = threading.Lock()
        self._executor = ThreadPoolExecutor(WORKERS, thread_name_prefix="dppa")
        self.works, self.people = WorkMetrics(), AnswersInProgress()
        self._trimmer = MemoryTrimmer()
        self._going: weakref.WeakSet[Job] = weakref.WeakSet()
        self.ending = threading.Event()
        """Set once the process is about to end."""
        whole = byte_budget(public=public)
        self._apart = apart and not on_zero()
        # On a public page both processes together hold no more than one did.
        self._local_budget = whole // 3 if self._apart and public else None
        self._budget = whole - (self._local_budget or 0)
        self._lent = LentGpu() if on_zero() else None  # it forks: models must be in this process
        self._answerer: Answerer | None = None
        if self._apart:
            self._answerer = ProcessAnswerer(self._budget, public=public, workers=ANSWER_WORKERS)
        self._pool: ModelPool | None = None
        self._warm: Future[None] | None = None

    def start(self, kind: Kind, work: Work) -> Job:
        """Run work in a thread; it ends soon after `stop`, the end of its event, or its time
        limit."""
        seconds = kind.seconds if self.public else math.inf
        light = not kind.torch or (self._apart and kind.answers)
        begun = work if light else partial(self._imported, work)
        if kind.gives_way:
            begun = partial(_giving_way, self.people, begun)
        job = Job(self._executor, begun, self.works.timed(kind.name), seconds)
        self._going.add(job)
        job.when_over(self._trimmer.work_ended)
        event = jobs_of_event.get()
        if event is not None:
            event.add(job)
        return job

    def finished(self, kind: Kind, work: Callable[[Stop], T]) -> T:
        """The result of work in a thread; raises its error."""
        results: list[T] = []
        job = self.start(kind, lambda _emit, stop: results.append(work(stop)))
        for _ in job.to_its_end(every=0.05):
            pass
        return results[0]

    def _imported(self, work: Work, emit: Emit, stop: Stop) -> None:
        self.pool()
        work(emit, stop)

    def close(self) -> None:
        """Stop all work and start no more: the process is about to end."""
        self.ending.set()
        self.opened.set()
        for job in list(self._going):
            job.stop.set()
        if self._answerer is not None:
            self._answerer.close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def pool(self) -> ModelPool:
        """The models in memory; the first call imports torch, which takes seconds."""
        with self._importing:
            if self._pool is None:
                from dppa_core.merging.in_memory.model_pool import ModelPool  # noqa: PLC0415  (torch)

                self._pool = ModelPool(
                    self._local_budget or byte_budget(public=self.public), public=self.public
                )
            return self._pool

    def lend(
        self, target: str | MergeRecipe, progress: Progress | None, stop: Stop | None
    ) -> AbstractContextManager[Resident]:
        """A model or a merge, from memory or made now, for use in a `with` block."""
        return self.pool().lend(target, progress=progress, stop=stop)

    def answerer(self) -> Answerer:
        """The answerer of questions; without a separate process the first call imports torch."""
        if self._answerer is None:
            pool = self.pool()
            from dppa_core.answering.in_process import OwnAnswerer  # noqa: PLC0415  (torch)

            with self._importing:
                compute = self._lent.replies if self._lent else None
                self._answerer = self._answerer or OwnAnswerer(pool, compute=compute)
        return self._answerer

    def merged(self, recipe: MergeRecipe) -> bool:
        """Return True if that merge is in memory; never waits for one."""
        return recipe_hash(recipe) in self.in_memory()[0]

    def in_memory(self) -> tuple[tuple[str, ...], int]:
        """References of models and hashes of merges in memory, and their bytes; never waits."""
        keys, nbytes = self._answerer.loaded() if self._apart and self._answerer else ((), 0)
        if self._pool is None:
            return keys, nbytes
        return (*keys, *self._pool.loaded()), nbytes + self._pool.nbytes

    def fit_together(self, sizes: Sequence[int]) -> bool:
        """Return True if models of these sizes, in bytes, fit into memory together."""
        return sum(sizes) <= self._budget

    def outcome(self, recipe: MergeRecipe, stop: Stop | None) -> MergeEffect:
        """The effect of a merge on every module; cached."""
        from dppa_core.evaluation.analysis.merge_effect import merge_outcome  # noqa: PLC0415  (torch)

        effect = self.known_outcome(recipe)
        if effect is not None:
            return effect
        with self.lend(recipe, None, stop) as resident:
            check_whole(resident, "The effect of a merge")
            effect = merge_outcome(recipe, resident.model, public=self.public, stop=stop)
        self._outcomes.keep(recipe_hash(recipe), (self.identity(recipe), effect))
        return effect

    def known_outcome(self, recipe: MergeRecipe) -> MergeEffect | None:
        """Earlier result of `outcome` for these models, or None; never waits for a merge."""
        entry = self._outcomes.find(recipe_hash(recipe))  # first, to open no file: sliders wait
        return entry[1] if entry is not None and entry[0] == self.identity(recipe) else None

    def warm_up(self, recipe: MergeRecipe) -> None:
        """Let the answering process load the models of the first question and write a token: the
        first one is slow. Once the first page has been drawn, this process imports torch."""

        def work() -> None:
            if not self._apart or available_cores() == 1:  # it would hold up the server's start
                self.opened.wait(WARM_AFTER)
                check(self.ending)
            settings = GenerationSettings(max_new_tokens=2)
            for _ in self.answerer().replies(recipe, "1 + 1", settings, self.ending):
                pass
            self.opened.wait(WARM_AFTER)
            check(self.ending)
            self.pool()
            keep_what_is_there()

        if self._warm is None:
            self._warm = self._executor.submit(work)

    @property
    def ready(self) -> bool:
        """True if the warm-up is over, or was never started."""
        return self._warm is None or self._warm.done()

    def examiner(self) -> Examiner:
        """The examiner of the pool's models; it caches their marks."""
        from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (torch)

        if self._examiner is None:
            self._examiner = Examiner(self.pool(), public=self.public)
        return self._examiner

    def score(
        self, target: str | MergeRecipe, domain: str, limit: int, stop: Stop | None
    ) -> DomainScore:
        """Test accuracy of a model or merge on one domain; cached."""
        return self.examiner().score(Exam(target, domain, "test", limit), stop=stop)

    def identity(self, target: str | MergeRecipe) -> str:
        """A text that identifies the target's contents; it changes when a file is replaced."""
        name, references = target, [target]
        if isinstance(target, MergeRecipe):
            name = recipe_hash(target)
            references = [target.base, *(model.model for model in target.models)]
        opened = (open_checkpoint(str(reference), public=self.public) for reference in references)
        return " ".join((str(name), *(checkpoint.content_hash() for checkpoint in opened)))
