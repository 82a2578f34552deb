"""Asks models and merges the items of a domain, and remembers in the cache what they made of them.

Knows references, recipes, items and a cache; no ranking.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.folders.files import COMPANIONS, known_sha256
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation.evaluate import exchanges, mark
from dppa_core.evaluation.scores import Marks, Target
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.answer_loss import Exchange
from dppa_core.models.drafted_answers import LONGEST
from dppa_core.models.resident import Resident
from dppa_core.profiling.calibration.texts import read_source
from dppa_core.progress import Stop
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.folder_cache import cache_folder, load, store
from dppa_core.tasks import Item, items

_FORMAT = 1  # a new number where the same models would get other marks
SMALL = 256 << 20
"""Bytes of a model up to which it is asked by one core, and another one beside it."""


class Examiner:
    """Marks models and merges on one split. Safe for several threads.

    Args:
        split: train, search or test.
        limit: Items a domain, tasks in turn; all of them where None.
        pool: Where models are kept; a new one where None.
        public: Whether strangers chose the models; local folders are then refused.
        fresh: Whether to ask again what is remembered.
    """

    def __init__(
        self,
        split: str = "test",
        limit: int | None = None,
        *,
        pool: ModelPool | None = None,
        public: bool = False,
        fresh: bool = False,
    ) -> None:
        self.split, self.limit = split, limit
        self.pool = pool or ModelPool(public=public)
        self.public, self.fresh = public, fresh
        self._asked: dict[str, tuple[Item, ...]] = {}
        self._read: dict[tuple[str, str], tuple[Exchange, ...]] = {}
        self._lock = threading.Lock()

    def items(self, domain: str) -> tuple[Item, ...]:
        """What is asked about a domain.

        Raises:
            UnknownName: no such domain.
            InvalidValue: no such split, or more items than it has.
        """
        with self._lock:
            if domain not in self._asked:
                self._asked[domain] = items(domain, self.split, self.limit)
            return self._asked[domain]

    def known(self, target: Target, domain: str) -> Marks | None:
        """What was asked before, or None; no model is loaded."""
        return None if self.fresh else _unpacked(load(self._entry(target, domain)))

    def marks(
        self,
        target: Target,
        domain: str,
        *,
        progress: Callable[[int], None] | None = None,
        stop: Stop | None = None,
    ) -> Marks:
        """Ask a model or a merge the items of a domain, or remember what it made of them.

        Args:
            progress: Called with the number of items answered so far.
            stop: Raises Cancelled once set, within one token.
        """
        known = self.known(target, domain)
        if known is not None:
            return known
        entry, asked = self._entry(target, domain), self.items(domain)
        with self.pool.lend(target, stop=stop) as resident:
            read = self._exchanges(resident, domain)
            with threads_for(resident):
                found = mark(resident, asked, read, progress=progress, stop=stop)
        store(entry, _packed(found))
        return found

    def _exchanges(self, resident: Resident, domain: str) -> tuple[Exchange, ...]:
        """The items as token ids, once for all models of the same tokenizer."""
        key, asked = (_tokenizer_key(resident), domain), self.items(domain)
        with self._lock:
            if key not in self._read:
                self._read[key] = exchanges(resident, asked)
            return self._read[key]

    def _entry(self, target: Target, domain: str) -> Path:
        return self.entry(target, [[item.prompt, item.answer] for item in self.items(domain)])

    def entry(self, target: Target, asked: Sequence[object]) -> Path:
        """Where the cache keeps what a target makes of what it is asked.

        Args:
            asked: All that decides the answer beside the target, as plain values.
        """
        computed = [] if self.pool.computes == "float32" else [self.pool.computes]
        text = json.dumps([identity(target, public=self.public), asked, *computed])
        key = hashlib.sha256(text.encode()).hexdigest()
        return cache_folder("marks") / f"{key}.json"


@contextmanager
def threads_for(resident: Resident) -> Iterator[None]:
    """One thread of torch for a small model: two wait for each other at every one of its steps."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if resident.nbytes <= SMALL else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def identity(target: Target, *, public: bool = False) -> str:
    """What is asked, and with what: another text for other weights, tokenizers or programs."""
    name, references = str(target), [str(target)]
    texts: list[str] = []
    if isinstance(target, MergeRecipe):
        name = recipe_hash(target)
        references = [target.base, *(model.model for model in target.models)]
        if target.calibrated:
            chosen = (target.calibration_of(model) for model in target.models)
            texts = [read_source(one).digest for one in chosen]
    opened = (open_checkpoint(reference, public=public) for reference in references)
    programs = [f"{package} {version(package)}" for package in ("torch", "transformers")]
    return json.dumps([_FORMAT, LONGEST, programs, name, texts, *map(_contents, opened)])


def _contents(checkpoint: Checkpoint) -> list[str]:
    """Hashes of all that a model is loaded from."""
    files = [folder / name for folder in checkpoint.folders for name in COMPANIONS]
    config = json.dumps(checkpoint.config, sort_keys=True, default=str)
    return [checkpoint.content_hash(), config, *(known_sha256(path) for path in files)]


def _tokenizer_key(resident: Resident) -> str:
    """The same for tokenizers that read alike; one of their own for those that do not tell."""
    tokenizer: Any = resident.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return str(id(tokenizer))
    positions = getattr(resident.model.config, "max_position_embeddings", None)
    told = [backend.to_str(), tokenizer.chat_template, tokenizer.eos_token_id, positions]
    return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()


def _packed(marks: Marks) -> bytes:
    return json.dumps([list(map(int, marks.hits)), marks.losses, marks.tokens]).encode()


def _unpacked(data: bytes | None) -> Marks | None:
    if data is None:
        return None
    hits, losses, tokens = json.loads(data)
    return Marks(tuple(map(bool, hits)), tuple(losses), tuple(tokens))
