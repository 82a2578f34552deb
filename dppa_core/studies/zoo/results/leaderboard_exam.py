"""Asks models and merges the items of the embedded domains, and remembers what they answered.

Knows recipes, items and a cache; no method and no ranking.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass

import torch

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.answer_loss import grouped, reference, reply_logits, surprise
from dppa_core.models.decode import greedy_replies, prompt_ids
from dppa_core.progress import Progress
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.studies.zoo.results.leaderboard_deltas import Added, added
from dppa_core.studies.zoo.results.scores import POOL_BYTES
from dppa_core.system.folder_cache import cache_folder, load, store
from dppa_core.tasks import Item, items, score

Hits = tuple[bool, ...]
"""Which items of a domain were answered rightly."""
TOGETHER = 64
"""Answers read in one batch."""


def share(hits: Hits) -> float:
    """The accuracy, as a fraction."""
    return sum(hits) / len(hits)


@dataclass(slots=True)
class Examiner:
    """Scores models and recipes, or remembers what they scored."""

    search_items: int
    test_items: int | None = None
    """Items per domain; all of them where None."""
    pool: ModelPool | None = None
    progress: Progress | None = None

    def hits(self, target: str | MergeRecipe, domain: str, split: str) -> Hits:
        """Which items a model or a merge answers rightly."""
        asked = self._items(domain, split)
        path = cache_folder("leaderboard") / _key(target, "hits", asked)
        known = load(path)
        if known is not None:
            return tuple(mark == 1 for mark in known)

        def tell(count: int) -> None:
            if self.progress:
                self.progress(count, len(asked), f"{domain}, {split}")

        with self._pool().lend(target) as resident:
            replies = greedy_replies(resident, [item.prompt for item in asked], progress=tell)
        found = tuple(score(item, reply) for item, reply in zip(asked, replies, strict=True))
        store(path, bytes(found))
        return found

    def share(self, target: str | MergeRecipe, domain: str, split: str) -> float:
        """The accuracy, as a fraction."""
        return share(self.hits(target, domain, split))

    def loss(self, target: str | MergeRecipe, domain: str) -> float:
        """Mean negative log-likelihood of the search items' right answers, a token, in nats."""
        asked = self._items(domain, "search")
        path = cache_folder("leaderboard") / _key(target, "loss", asked)
        known = load(path)
        if known is not None:
            return float(struct.unpack("<d", known)[0])
        total, count = 0.0, 0
        with self._pool().lend(target) as resident, torch.inference_mode():
            exchanges = [
                reference(resident, tuple(prompt_ids(resident, item.prompt)), item.answer)
                for item in asked
            ]
            for group in grouped(exchanges, TOGETHER):
                logits, tokens = reply_logits(resident.model, group)
                total += float(surprise(logits, tokens).double().sum())
                count += len(tokens)
        store(path, struct.pack("<d", total / count))
        return total / count

    def added(self, merge: MergeRecipe) -> Added:
        """What a merge adds to its base."""
        path = cache_folder("leaderboard") / _key(merge, "added", ())
        known = load(path)
        if known is not None:
            return Added(*struct.unpack("<3d", known))
        found = added(merge)
        store(path, struct.pack("<3d", found.length, found.likeness, found.changed))
        return found

    def _items(self, domain: str, split: str) -> tuple[Item, ...]:
        return items(domain, split, self.search_items if split == "search" else self.test_items)

    def _pool(self) -> ModelPool:
        self.pool = self.pool or ModelPool(byte_budget=POOL_BYTES)
        return self.pool


def _key(target: str | MergeRecipe, kind: str, asked: tuple[Item, ...]) -> str:
    """Another one when a weight, the recipe or the items are others."""
    named: list[str] = [target] if isinstance(target, str) else []
    if isinstance(target, MergeRecipe):
        named = [target.base, *(model.model for model in target.models)]
    name = target if isinstance(target, str) else recipe_hash(target)
    weights = [open_checkpoint(one).content_hash() for one in named]
    text = [[item.prompt, item.answer] for item in asked]
    identity = json.dumps([kind, name, weights, text])
    return hashlib.sha256(identity.encode()).hexdigest()[:32]
