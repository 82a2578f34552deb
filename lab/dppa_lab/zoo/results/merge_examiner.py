"""Hits, losses and deltas of merges of the embedded models and of trained sets, all cached."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray
from pydantic import TypeAdapter

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation.analysis.curvature import Curvature, curvature
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Exam, Target, references_of, target_name
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.merger import open_merger
from dppa_core.models.answer_loss import grouped, surprise
from dppa_core.models.devices import lend, place_of
from dppa_core.models.resident import Resident
from dppa_core.models.texts import texts_of
from dppa_core.progress import Progress, report
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.folder_cache import cache_folder, kept, load
from dppa_core.tasks import Item
from dppa_core.tasks.intervals import accuracy

EXCHANGES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Added:
    """The merged delta over all tensors, compared with the sum of the models' deltas."""

    length: float
    """Its Euclidean norm, divided by that of the sum."""
    likeness: float
    """Cosine of the angle between the two, in [-1, 1]; 0 if one of them is 0."""
    changed: float
    """Share of elements that differ from the base."""


@dataclass(frozen=True, slots=True)
class MergeExaminer:
    """Scores models and recipes; scores are cached."""

    test_items: int | None
    """Test items per domain; all if None."""
    search_items: int
    progress: Progress | None = None
    examiner: Examiner = field(default_factory=lambda: Examiner(ModelPool(), keep=False, workers=1))

    def exam(self, target: Target, domain: str, split: str) -> Exam:
        """The items of a domain."""
        limit = self.search_items if split == "search" else self.test_items
        return Exam(target, domain, split, limit)

    def hits(self, target: Target, domain: str, split: str) -> tuple[bool, ...]:
        """Hits of a model or merge, item by item."""
        exam = self.exam(target, domain, split)

        def show(count: int) -> None:
            report(self.progress, count, len(exam.items()), f"{domain}, {split}")

        def ask(_: Resident) -> bytes:  # the examiner shares the copy of the model that is lent
            return bytes(self.examiner.marks(exam, progress=show).hits)

        return tuple(map(bool, self._kept("hits", target, exam.items(), ask)))

    def share(self, target: Target, domain: str, split: str) -> float:
        """The accuracy, as a fraction."""
        return accuracy(self.hits(target, domain, split)).value

    def loss(self, target: Target, domain: str) -> float:
        """Mean loss of the search items' right answers, in nats per token; needs no decoding."""
        items = self.exam(target, domain, "search").items()

        def read(resident: Resident) -> bytes:
            total, count = 0.0, 0
            with torch.inference_mode():
                for group in grouped(self.examiner.exchanges(resident, items), EXCHANGES_AT_ONCE):
                    texts = [exchange.prompt + exchange.reply[:-1] for exchange in group]
                    lengths = [len(exchange.reply) for exchange in group]
                    logits = texts_of(resident.model).read(texts, lengths)
                    tokens = torch.tensor([token for e in group for token in e.reply])
                    total += float(surprise(torch.cat(logits), tokens).double().sum())
                    count += len(tokens)
            return struct.pack("<d", total / count)

        return float(struct.unpack("<d", self._kept("loss", target, items, read))[0])

    def added(self, merge: MergeRecipe) -> Added:
        """The delta of a merge."""

        def compare() -> bytes:
            return struct.pack("<3d", *astuple(added(merge)))

        return Added(*struct.unpack("<3d", kept(_entry("added", merge, ()), compare)))

    def curvature(self, pruned: MergeRecipe, domain: str, factors: Sequence[float]) -> Curvature:
        """Losses of one pruned model on the search items' right answers, foretold and measured."""
        items = self.exam(pruned, domain, "search").items()
        place = self.examiner.pool.expected_place(open_checkpoint(pruned.base))
        entry = _entry(f"curvature {list(factors)}", pruned, items, place)

        def measure() -> bytes:
            return json.dumps(asdict(curvature(pruned, items, factors))).encode()

        return TypeAdapter(Curvature).validate_json(kept(entry, measure))

    def _kept(
        self, kind: str, target: Target, items: tuple[Item, ...], ask: Callable[[Resident], bytes]
    ) -> bytes:
        """An answer of a model, from the cache under the place where it computes."""
        pool = self.examiner.pool
        expected = pool.expected_place(open_checkpoint(references_of(target)[0]))
        answer = load(_entry(kind, target, items, expected))
        if answer is not None:
            return answer
        with pool.lend(target) as resident, lend(resident) as placed:
            entry = _entry(kind, target, items, place_of(placed.model))
            return kept(entry, lambda: ask(placed))


def _entry(kind: str, target: Target, items: tuple[Item, ...], place: Sequence[str] = ()) -> Path:
    """A file whose name changes with the weights, the recipe, the items or the `place_of`."""
    weights = [open_checkpoint(model).content_hash() for model in references_of(target)]
    text = [[item.prompt, item.answer] for item in items]
    identity = json.dumps([kind, target_name(target), weights, text, *place])
    return cache_folder("leaderboard") / hashlib.sha256(identity.encode()).hexdigest()


def added(merge: MergeRecipe) -> Added:
    """Compare the delta of a merge with the sum of its models' deltas."""

    def plain(coefficient: float) -> MergeRecipe:
        models = tuple(DomainModel(m.model, coefficient=coefficient) for m in merge.models)
        return MergeRecipe(merge.base, models, method="task_arithmetic")

    squares = products = of_sum = 0.0
    changed = count = 0
    streams = (_tensors(recipe) for recipe in (plain(0.0), merge, plain(1.0)))
    for base, merged, summed in zip(*streams, strict=True):
        delta, whole = merged - base, summed - base
        squares += float(delta @ delta)
        of_sum += float(whole @ whole)
        products += float(delta @ whole)
        changed += int(np.count_nonzero(delta))
        count += delta.size
    both = math.sqrt(squares * of_sum)
    length = math.sqrt(squares / of_sum) if of_sum else 0.0
    return Added(length, products / both if both else 0.0, changed / count)


def _tensors(merge: MergeRecipe) -> Iterator[Float64[ndarray, " n"]]:
    merger = open_merger(replace(merge, dtype="float32"))
    for name in merger.names():
        dtype, _, raw = merger.tensor(name)
        yield to_float32(raw, dtype).reshape(-1).astype(np.float64)
