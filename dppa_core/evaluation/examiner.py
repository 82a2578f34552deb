"""Asks models and merges the items of a domain, equal ones once, and caches their marks."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation.equal_models import EqualModels
from dppa_core.evaluation.identity import identity
from dppa_core.evaluation.scores import (
    LONGEST_REPLY,
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
from dppa_core.models.answer_loss import Exchange, reference
from dppa_core.models.decode import prompt_ids
from dppa_core.models.devices import cards_for, lend, place_of
from dppa_core.models.drafted_answers import LONGEST, answers
from dppa_core.models.own_step import knows
from dppa_core.models.resident import Resident
from dppa_core.progress import Progress, Stop
from dppa_core.system.folder_cache import cache_folder, load, store
from dppa_core.system.threads import worker_count
from dppa_core.tasks import Item, score
from dppa_core.tasks.own_items import OwnItem

SMALL = 256 << 20
"""Models up to this many bytes are asked in parallel, by threads of one core each."""


class Examiner:
    """Holds exams. Thread-safe.

    Args:
        pool: Keeps models in memory; a new one if None.
        public: Whether untrusted users chose the models; local folders are then refused.
        keep: Whether to read and write marks in the cache.
        fresh: Whether to ask again and overwrite what the cache has.
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
        self._read: dict[tuple[str, Item], Exchange] = {}
        self._lock = threading.Lock()

    def known(self, exam: Exam) -> Marks | None:
        """Marks from the cache, or None; loads no model. Raises as `Exam.items` does."""
        found = self._cached(self._entry(exam.target, _asked(exam)))
        return None if found is None else _marks(found)

    def marks(
        self, exam: Exam, *, progress: Callable[[int], None] | None = None, stop: Stop | None = None
    ) -> Marks:
        """Ask all items, or read their marks from the cache; for `progress` see `mark`."""

        def ask(resident: Resident) -> list[Any]:
            read = self.exchanges(resident, exam.items())
            workers = self._workers if resident.nbytes <= SMALL and knows(resident.model) else 1
            found = mark(
                *(resident, exam.items(), read),
                longest=exam.tokens or LONGEST,
                workers=workers,
                progress=progress,
                stop=stop,
            )
            return [list(map(int, found.hits)), found.losses, found.tokens, found.replies]

        return _marks(self.answer(exam.target, _asked(exam), ask, stop))

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
        progress: Progress | None = None,
        stop: Stop | None = None,
    ) -> Evaluation:
        """Scores of one model or merge on several domains."""
        exams = [Exam(target, domain, split, limit) for domain in domains]
        total, done = sum(len(exam.items()) for exam in exams), 0
        scores: dict[str, DomainScore] = {}
        for exam in exams:

            def answered(count: int, exam: Exam = exam, before: int = done) -> None:
                if progress:
                    progress(before + count, total, exam.domain)

            scores[exam.domain] = self.score(exam, progress=answered, stop=stop)
            done += len(exam.items())
        return Evaluation(target_name(target), split, scores)

    def answer(
        self,
        target: Target,
        asked: Sequence[object],
        ask: Callable[[Resident], Any],
        stop: Stop | None = None,
    ) -> Any:
        """A JSON answer of a model or merge, from the cache if it is there.

        Args:
            asked: Everything beside the target that decides the answer, as plain values.
            ask: Asks the model; returns plain values.
        """

        def asks(resident: Resident) -> bytes:
            return json.dumps(ask(resident)).encode()

        expected = self._entry(target, asked)
        found = self._cached(expected)
        if found is None:
            with self.lend(target, stop) as resident:
                place, entry = place_of(resident.model), expected
                if place or cards_for(resident.nbytes):  # the expected GPU may have had no room
                    entry = self._entry(target, asked, place)
                    found = self._cached(entry)
                    if found is not None:
                        return found
                if self._fresh:
                    data = asks(resident)
                else:
                    data = self._equal.answer(
                        resident, json.dumps(asked), partial(asks, resident), stop
                    )
            if self._keep:
                store(entry, data)
            found = json.loads(data)
        return found

    @contextmanager
    def lend(self, target: Target, stop: Stop | None = None) -> Iterator[Resident]:
        """A model or merge where it computes, with its number of threads, while the block runs."""
        with (
            self.pool.lend(target, stop=stop) as resident,
            threads_for(resident),
            lend(resident) as there,
        ):
            yield there

    def at_once(self, target: Target) -> int:
        """Exams of such models at a time; see `ModelPool.at_once`."""
        return self.pool.at_once(open_checkpoint(references_of(target)[0], public=self.public))

    def _cached(self, entry: Path) -> Any:
        data = load(entry) if self._keep and not self._fresh else None
        return None if data is None else json.loads(data)

    def exchanges(self, resident: Resident, asked: Sequence[Item]) -> tuple[Exchange, ...]:
        """The items as token ids, encoded once per tokenizer."""
        tokenizer = _tokenizer_key(resident)
        own = any(isinstance(item, OwnItem) for item in asked)  # anybody's, without end
        if tokenizer is None or own:
            return exchanges(resident, asked)
        with self._lock:
            new = [item for item in asked if (tokenizer, item) not in self._read]
            for item, one in zip(new, exchanges(resident, new) if new else (), strict=True):
                self._read[tokenizer, item] = one
            return tuple(self._read[tokenizer, item] for item in asked)

    def _entry(
        self, target: Target, asked: Sequence[object], place: Sequence[str] | None = None
    ) -> Path:
        """Where marks are kept; `place` of the model that is asked, the expected one if None."""
        base = open_checkpoint(references_of(target)[0], public=self.public)
        computed = self.pool.computes(base)
        expected = self.pool.expected_place if place is None else lambda _: place
        asker = identity(target, expected, public=self.public)
        text = json.dumps([asker, asked, *([] if computed == "float32" else [computed])])
        key = hashlib.sha256(text.encode()).hexdigest()
        return cache_folder("item-marks") / f"{key}.json"


def mark(
    resident: Resident,
    asked: Sequence[Item],
    read: Sequence[Exchange] | None = None,
    *,
    longest: int = LONGEST,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
    stop: Stop | None = None,
) -> Marks:
    """Decode a model's replies to some items greedily, and mark them.

    Args:
        read: The items' `exchanges`, if already computed.
        longest: Most tokens of a reply.
        workers: As of `answers`.
        progress: Called with the number of items answered so far.
    """
    read = exchanges(resident, asked) if read is None else read
    how: dict[str, Any] = {"longest": longest, "workers": workers}
    given = answers(resident, read, **how, progress=progress, stop=stop)
    own = all(isinstance(item, OwnItem) for item in asked)
    return Marks(
        tuple(score(item, one.reply) for item, one in zip(asked, given, strict=True)),
        tuple(one.loss for one in given),
        tuple(one.tokens for one in given),
        tuple(one.reply[:LONGEST_REPLY] for one in given) if own else (),
    )


def exchanges(resident: Resident, asked: Sequence[Item]) -> tuple[Exchange, ...]:
    """Items with their right answers as token ids; they depend only on the tokenizer."""
    return tuple(
        reference(resident, tuple(prompt_ids(resident, item.prompt)), item.answer) for item in asked
    )


@contextmanager
def threads_for(resident: Resident) -> Iterator[None]:
    """Use one torch thread for a small model: synchronising threads costs more than they save."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if resident.nbytes <= SMALL else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _tokenizer_key(resident: Resident) -> str | None:
    """Equal for tokenizers that encode alike; None for a slow tokenizer."""
    tokenizer: Any = resident.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    positions = getattr(resident.model.config, "max_position_embeddings", None)
    told = [backend.to_str(), tokenizer.chat_template, tokenizer.eos_token_id, positions]
    return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()


def _asked(exam: Exam) -> list[list[str]]:
    longest = [] if exam.tokens is None else [["tokens", str(exam.tokens)]]
    return [*(item.asked() for item in exam.items()), *longest]


def _marks(value: Any) -> Marks:
    hits, losses, tokens, *replies = value  # those of earlier versions have no replies
    told = tuple(replies[0]) if replies else ()
    return Marks(tuple(map(bool, hits)), tuple(losses), tuple(tokens), told)
