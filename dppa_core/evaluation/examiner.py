"""Asks models and merges the items of a domain, equal ones once, and caches their marks."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.folders.architectures import labels_of
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import OutOfBudget
from dppa_core.evaluation.identity import EqualModels, identity, tokenizer_key
from dppa_core.evaluation.labels import label_marks
from dppa_core.evaluation.scores import (
    DomainScore,
    Evaluation,
    Exam,
    Marks,
    Target,
    marked_score,
    references_of,
    target_name,
)
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.in_memory.source import memory_of
from dppa_core.models.answer_loss import Exchange, reference
from dppa_core.models.decode import prompt_ids
from dppa_core.models.devices import cards_for, lend, place_of
from dppa_core.models.drafted_answers import MAX_REPLY_TOKENS, answers, divergences
from dppa_core.models.own_step import knows
from dppa_core.models.resident import Resident
from dppa_core.progress import Progress, Stop, report
from dppa_core.system.folder_cache import cache_folder, load, store
from dppa_core.system.threads import worker_count
from dppa_core.tasks import Item
from dppa_core.tasks.own_items import OwnItem

SMALL_MODEL_BYTES = 256 << 20
"""Models up to this size are asked in parallel, by threads of one core each."""


class Examiner:
    """Holds exams. Thread-safe.

    Args:
        pool: Keeps models in memory; a new one if None.
        public: True if untrusted users chose the models; local folders are then refused.
        keep: Read and write marks in the cache.
        fresh: Ask again and overwrite the cache.
        workers: Threads that ask one small model; exams in one process share the cores.
    """

    def __init__(
        self,
        pool: ModelPool | None = None,
        *,
        public: bool = False,
        keep: bool = True,
        fresh: bool = False,
        workers: int | None = None,
    ) -> None:
        self.pool, self._workers = pool or ModelPool(public=public), worker_count(workers)
        self.public, self._keep, self._fresh = public, keep, fresh
        self._equal = EqualModels()
        self._exchanges: dict[tuple[str, Item], Exchange] = {}
        self._lock = threading.Lock()

    def cached_marks(self, exam: Exam) -> Marks | None:
        """Marks from the cache, or None; loads no model. Raises as `Exam.items` does."""
        cached = self._cached(self._entry(exam.target, exam.question()))
        return None if cached is None else replace(Marks.of_json(cached), lengths=(), loops=())

    def marks(
        self, exam: Exam, *, progress: Callable[[int], None] | None = None, stop: Stop | None = None
    ) -> Marks:
        """Ask all items, or read their marks from the cache; for `progress` see `mark`."""
        if self.classifies(exam.target):
            marks = self.cached_marks(exam) or label_marks(exam, progress, stop)
            if self._keep:
                entry = self._entry(exam.target, exam.question())
                store(entry, json.dumps(marks.to_json()).encode())
            return marks

        def ask(resident: Resident) -> list[Any]:
            small = resident.nbytes <= SMALL_MODEL_BYTES and knows(resident.model)
            marks = mark(
                *(resident, exam.items(), self.exchanges(resident, exam.items())),
                longest=exam.tokens or MAX_REPLY_TOKENS,
                workers=self._workers if small else 1,
                progress=progress,
                stop=stop,
            )
            return marks.to_json()

        question = exam.question()
        marks = Marks.of_json(self.answer(exam.target, question, ask, stop))
        if not exam.behaviour:
            return replace(marks, lengths=(), loops=())
        if not marks.lengths:  # kept by an earlier version
            marks = Marks.of_json(self.answer(exam.target, [*question, ["behaviour"]], ask, stop))
        return replace(marks, divergences=self._divergences(exam, stop))

    def classifies(self, target: Target) -> bool:
        """Return True for a classifier of texts, whose answers are labels."""
        return bool(labels_of(self.base(target).config))

    def _divergences(self, exam: Exam, stop: Stop | None) -> tuple[float, ...]:
        """See `divergences`; nothing without a base that has the same tokens."""
        if exam.base in ("", exam.target):
            return (0.0,) * len(exam.items()) if exam.base else ()
        nbytes, _ = memory_of(self.base(exam.base))
        if 2 * nbytes > self.pool.byte_budget:
            raise OutOfBudget(
                f"{exam.base}: to compare a model with it, both must be in memory: {2 * nbytes:,} "
                f"bytes, and {self.pool.byte_budget:,} are allowed (--memory)."
            )

        def ask(resident: Resident) -> tuple[float, ...] | None:
            encoded = self.exchanges(resident, exam.items())
            with self.lend(exam.base, stop) as base:
                pairs = zip(encoded, self.exchanges(base, exam.items()), strict=True)
                same = all(one.reply == other.reply for one, other in pairs)
                return divergences(resident, base, encoded, stop) if same else None

        question = ["divergence", identity(exam.base, public=self.public), *exam.question()]
        return tuple(self.answer(exam.target, question, ask, stop) or ())

    def score(
        self, exam: Exam, *, progress: Callable[[int], None] | None = None, stop: Stop | None = None
    ) -> DomainScore:
        """The score of one exam."""
        return marked_score(exam.items(), self.marks(exam, progress=progress, stop=stop))

    def evaluation(
        self,
        target: Target,
        domains: Sequence[str],
        *,
        split: str = "test",
        limit: int | None = None,
        behaviour: bool = False,
        base: str = "",
        progress: Progress | None = None,
        stop: Stop | None = None,
    ) -> Evaluation:
        """Scores of one model or merge on several domains; settings as of `Exam`."""
        exams = [Exam(target, domain, split, limit, behaviour, base) for domain in domains]
        total, before = sum(len(exam.items()) for exam in exams), 0
        scores: dict[str, DomainScore] = {}
        for exam in exams:

            def count(answered: int, exam: Exam = exam, before: int = before) -> None:
                report(progress, before + answered, total, exam.domain)

            scores[exam.domain] = self.score(exam, progress=count, stop=stop)
            before += len(exam.items())
        return Evaluation(target_name(target), split, scores)

    def answer(
        self,
        target: Target,
        question: Sequence[object],
        ask: Callable[[Resident], Any],
        stop: Stop | None = None,
    ) -> Any:
        """A JSON answer of a model or merge, from the cache if it is there.

        Args:
            question: Everything beside the target that decides the answer, as plain values.
            ask: Asks the model; returns plain values.
        """

        def ask_json(resident: Resident) -> bytes:
            return json.dumps(ask(resident)).encode()

        entry = self._entry(target, question)
        cached = self._cached(entry)
        if cached is not None:
            return cached
        with self.lend(target, stop) as resident:
            place = place_of(resident.model)
            if place or cards_for(resident.nbytes):  # the expected GPU may have had no room
                entry = self._entry(target, question, place)
                cached = self._cached(entry)
                if cached is not None:
                    return cached
            if self._fresh:
                data = ask_json(resident)
            else:
                data = self._equal.answer(
                    resident, json.dumps(question), lambda: ask_json(resident), stop
                )
        if self._keep:
            store(entry, data)
        return json.loads(data)

    @contextmanager
    def lend(self, target: Target, stop: Stop | None = None) -> Iterator[Resident]:
        """Lend a model or merge on its device, with its number of threads, while the block runs."""
        with (
            self.pool.lend(target, stop=stop) as resident,
            threads_for(resident),
            lend(resident) as placed,
        ):
            yield placed

    def parallel_exams(self, target: Target) -> int:
        """Exams of such models at a time; see `ModelPool.at_once`."""
        return self.pool.at_once(self.base(target))

    def base(self, target: Target) -> Checkpoint:
        """The checkpoint of a model, or of the base of a merge."""
        return open_checkpoint(references_of(target)[0], public=self.public)

    def _cached(self, entry: Path) -> Any:
        data = load(entry) if self._keep and not self._fresh else None
        return None if data is None else json.loads(data)

    def exchanges(self, resident: Resident, items: Sequence[Item]) -> tuple[Exchange, ...]:
        """The items as token ids, encoded once per tokenizer."""
        tokenizer = tokenizer_key(resident)
        own = any(isinstance(item, OwnItem) for item in items)  # unlimited in number: not kept
        if tokenizer is None or own:
            return exchanges(resident, items)
        with self._lock:
            new = [item for item in items if (tokenizer, item) not in self._exchanges]
            for item, exchange in zip(new, exchanges(resident, new) if new else (), strict=True):
                self._exchanges[tokenizer, item] = exchange
            return tuple(self._exchanges[tokenizer, item] for item in items)

    def _entry(
        self, target: Target, question: Sequence[object], place: Sequence[str] | None = None
    ) -> Path:
        """The cache file; `place` of the model that is asked, the expected one if None."""
        dtype = self.pool.computes(self.base(target))
        expected = self.pool.expected_place if place is None else lambda _: place
        model = identity(target, expected, public=self.public)
        text = json.dumps([model, question, *([] if dtype == "float32" else [dtype])])
        key = hashlib.sha256(text.encode()).hexdigest()
        return cache_folder("item-marks") / f"{key}.json"


def mark(
    resident: Resident,
    items: Sequence[Item],
    encoded: Sequence[Exchange] | None = None,
    *,
    longest: int = MAX_REPLY_TOKENS,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
    stop: Stop | None = None,
) -> Marks:
    """Decode a model's replies to some items greedily, and mark them.

    Args:
        encoded: The items' `exchanges`, if already computed.
        longest: Most tokens of a reply.
        workers: As of `answers`.
        progress: Called with the number of items answered so far.
    """
    encoded = exchanges(resident, items) if encoded is None else encoded
    control: dict[str, Any] = {"workers": workers, "progress": progress, "stop": stop}
    return Marks.of_replies(items, answers(resident, encoded, longest=longest, **control))


def exchanges(resident: Resident, items: Sequence[Item]) -> tuple[Exchange, ...]:
    """Items with their right answers as token ids; they depend only on the tokenizer."""
    return tuple(
        reference(resident, tuple(prompt_ids(resident, item.prompt)), item.answer) for item in items
    )


@contextmanager
def threads_for(resident: Resident) -> Iterator[None]:
    """Use one torch thread for a small model: synchronising threads costs more than they save."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if resident.nbytes <= SMALL_MODEL_BYTES else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
