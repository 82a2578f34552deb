"""Shared models in memory: loaded or merged on demand, under a byte budget. A model that exceeds it
alone is spread: the layers that do not fit lie on disk.

A merge without users is overwritten by the next one on the same base; if all have users, a copy of
one is. Both take a fraction of the time to build a model.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import torch

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.sources.open import ModelRef
from dppa_core.checkpoints.weight_file import file_identity
from dppa_core.errors import OutOfBudget
from dppa_core.merging.calibrated import text_files
from dppa_core.merging.in_memory.merge_cache import MergeCache
from dppa_core.merging.in_memory.rewrite import Tensors, find_live, write_merge
from dppa_core.merging.in_memory.source import memory_of, merged_tensors, source_of, tensors_of
from dppa_core.merging.in_memory.spread import load_spread, room_of
from dppa_core.models.devices import cards_for, expected_place
from dppa_core.models.loading import build_model, load_tokenizer
from dppa_core.models.parameter_views import copy_model
from dppa_core.models.resident import Resident
from dppa_core.progress import RunControl, check
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.byte_sizes import MEMORY_VARIABLE, memory_budget
from dppa_core.system.heap import trim_heap

IDLE_MERGES = 2
"""Merges of one base that stay without users, for visitors who return to a recipe."""
_Place = tuple[Resident, Mapping[str, torch.Tensor]]


@dataclass(slots=True, eq=False)
class _Slot:
    """A model in the pool, and its users."""

    resident: Resident
    base: tuple[object, ...] | None = None
    """Key shared by merges that may reuse this memory; None if it cannot be reused."""
    places: Mapping[str, torch.Tensor] | None = None
    """Where such a merge is written."""
    users: int = 0
    """Number of users it is lent to."""
    held: bool = False
    """True once `get` handed it out for good."""

    @property
    def free(self) -> bool:
        """Return True if another merge may overwrite it."""
        return self.places is not None and not self.users and not self.held


class ModelPool:
    """Resident models by reference or recipe hash; the least recently used are dropped first.

    Safe for many threads: one loads or merges at a time, all may read. A dropped model lives
    until its last user releases it. A model whose files were replaced is loaded again. A model
    that is lent, or was given away, never changes.

    Args:
        byte_budget: Most bytes of models in memory; `memory_budget` if unset.
        public: For strangers: only what `ModelRef.parse` allows them, and nothing is spread.
        plain: Only `OwnStep` computes them on the processor: a small Llama is then built
            without transformers (`PlainModel`).
    """

    def __init__(
        self, byte_budget: int | None = None, *, public: bool = False, plain: bool = False
    ) -> None:
        self._byte_budget = memory_budget() if byte_budget is None else byte_budget
        self._public, self._plain = public, plain
        self._slots: OrderedDict[str, _Slot] = OrderedDict()
        self._cache = MergeCache()
        self._scattered = set[tuple[object, ...]]()
        """Bases whose merges cannot be written into a model in memory."""
        self._table = threading.Lock()
        self._building = threading.Lock()

    def get(self, target: str | MergeRecipe, **control: Unpack[RunControl]) -> Resident:
        """The model of a reference (`zoo:math`) or a recipe, from memory if it is there.

        It never changes while it is held. If the end of its use is known, `lend` lets the next
        merge reuse its memory.

        Raises:
            OutOfBudget: The model alone exceeds the whole budget, on a public page.
            Cancelled: `stop` was set before it was ready.
        """
        slot = self._borrow(target, control)
        with self._table:
            slot.held = True
            slot.users -= 1
        return slot.resident

    @contextmanager
    def lend(self, target: str | MergeRecipe, **control: Unpack[RunControl]) -> Iterator[Resident]:
        """As `get`, while the block runs. The model may not be used afterwards."""
        slot = self._borrow(target, control)
        try:
            yield slot.resident
        finally:
            with self._table:
                slot.users -= 1

    def _borrow(self, target: str | MergeRecipe, control: RunControl) -> _Slot:
        """A slot with one more user."""
        if isinstance(target, MergeRecipe):
            key = recipe_hash(target)
        else:
            key = str(ModelRef.parse(target, public=self._public))
        slot = self._find(key)
        if slot is not None:
            return slot
        with self._building:
            slot = self._find(key)  # another thread may have built it
            if slot is None:
                check(control.get("stop"))
                if isinstance(target, MergeRecipe):
                    slot = self._merged(key, target, control)
                else:
                    slot = self._loaded(key, target, control)
                self._keep(slot)
            return slot

    def expected_place(self, checkpoint: Checkpoint) -> tuple[str, ...]:
        """The answer expected of `place_of` for a model, or for a merge on this base."""
        nbytes, dtype = memory_of(checkpoint)
        return expected_place(nbytes, dtype, spread=nbytes > self._byte_budget)

    def computes(self, checkpoint: Checkpoint) -> str:
        """Dtype of a model's computations on the processor."""
        return str(memory_of(checkpoint)[1]).removeprefix("torch.")

    def at_once(self, checkpoint: Checkpoint) -> int:
        """Number of such models that compute at a time: one a GPU, if the budget holds them; else
        1."""
        nbytes, _ = memory_of(checkpoint)
        return max(1, min(cards_for(nbytes), self._byte_budget // nbytes))

    def loaded(self) -> tuple[str, ...]:
        """Keys of the models in memory, least recently used first."""
        with self._table:
            return tuple(self._slots)

    @property
    def byte_budget(self) -> int:
        """Most bytes of models in memory."""
        return self._byte_budget

    @property
    def nbytes(self) -> int:
        """Bytes of all models in memory."""
        with self._table:
            return self._nbytes()

    def _nbytes(self) -> int:
        return sum(slot.resident.nbytes for slot in self._slots.values())

    def _find(self, key: str) -> _Slot | None:
        with self._table:
            slot = self._slots.get(key)
            if slot is None:
                return None
            if any(file_identity(p) != before for p, before in slot.resident.made_of.items()):
                del self._slots[key]
                return None
            self._slots.move_to_end(key)
            slot.users += 1
            return slot

    def _keep(self, slot: _Slot) -> None:
        with self._table:
            slot.users += 1
            self._slots[slot.resident.key] = slot
            while self._nbytes() > self._byte_budget:
                self._slots.popitem(last=False)

    def _make_room(self, nbytes: int) -> None:
        """Drop the models that were used longest ago, until so many bytes more fit."""
        with self._table:
            while self._slots and self._nbytes() + nbytes > self._byte_budget:
                self._slots.popitem(last=False)

    def _loaded(self, key: str, reference: str, control: RunControl) -> _Slot:
        checkpoint = self._cache.models.checkpoint(reference, public=self._public, **control)
        if self._is_too_large(key, checkpoint):  # before the long part
            return self._spread(reference, checkpoint, checkpoint.identities(), control)
        self._make_room(memory_of(checkpoint)[0])
        made_of = checkpoint.identities()
        return _Slot(self._resident(key, key, checkpoint, tensors_of(checkpoint), made_of))

    def _merged(self, key: str, recipe: MergeRecipe, control: RunControl) -> _Slot:
        merger = self._cache.merger(recipe, public=self._public, **control)
        made_of = dict[Path, str]()
        for checkpoint in (merger.base, *merger.inputs.tuned):
            made_of |= checkpoint.identities()
        made_of |= {path: file_identity(path) for path in text_files(merger.recipe)}
        if self._is_too_large(key, merger.base):  # before the long part
            return self._spread(recipe, merger.base, made_of, control)
        base = (
            *(recipe.base, merger.inputs.companions().key),
            *(*merger.base.identities().items(), *merger.inputs.twins.items()),
            *(merger.base.shape(name) for name in merger.names()),
        )
        nbytes, _ = memory_of(merger.base)
        place = self._place(base, nbytes)
        if place is not None:
            # Until it is another merge as a whole, it is in no table, and nobody can get it.
            write_merge(merger, place[1], **control)
            return _Slot(replace(place[0], key=key, made_of=made_of), base, place[1])
        if base not in self._scattered:
            self._make_room(nbytes)
            tensors = tensors_of(merger.base)
            with source_of(merger) as source:
                resident = self._resident(key, recipe.base, source, tensors, made_of)
            kernels, twins = merger.loader().kernels, merger.inputs.twins
            places = find_live(resident.model, tensors, kernels, twins)
            if places is not None:
                write_merge(merger, places, **control)
                return _Slot(resident, base, places)
            self._scattered.add(base)
            del resident
        self._make_room(2 * nbytes)  # until it is built
        with source_of(merger) as source:
            tensors = merged_tensors(merger, **control)
            return _Slot(self._resident(key, recipe.base, source, tensors, made_of))

    def _place(self, base: tuple[object, ...], nbytes: int) -> _Place | None:
        """A merge that may be overwritten: taken out of the table, or copied; None if none fits."""
        with self._table:
            like = {
                key: (slot.resident, slot.places)
                for key, slot in self._slots.items()
                if slot.places is not None and slot.base == base
            }
            free = [key for key in like if self._slots[key].free]
            full = self._nbytes() + nbytes > self._byte_budget
            if free and (full or len(free) >= IDLE_MERGES):
                del self._slots[free[0]]
                return like[free[0]]
        for resident, places in like.values():
            model, views = copy_model(resident.model, places)
            return replace(resident, model=model), views
        return None

    def _is_too_large(self, key: str, checkpoint: Checkpoint) -> bool:
        needed, _ = memory_of(checkpoint)
        if needed > self._byte_budget and self._public:
            raise OutOfBudget(
                f"{key} needs {needed / 1e9:.1f} GB in memory and this page may use "
                f"{self._byte_budget / 1e9:.1f} GB. Choose a smaller model, or start a copy "
                f"of your own with more ({MEMORY_VARIABLE}=8GB)."
            )
        return needed > self._byte_budget

    def _spread(
        self,
        target: str | MergeRecipe,
        like: Checkpoint,
        made_of: Mapping[Path, str],
        control: RunControl,
    ) -> _Slot:
        """A model too large for the budget. The others leave: it fills memory alone."""
        with self._table:
            self._slots.clear()
        room, dtype = room_of(self._byte_budget), self.computes(like)
        resident, disk = load_spread(target, dtype=dtype, max_memory=room, control=control)
        weakref.finalize(resident.model, disk.close)
        return _Slot(replace(resident, made_of=made_of))

    def _resident(
        self,
        key: str,
        label: str,
        source: Checkpoint,
        tensors: Tensors,
        made_of: Mapping[Path, str],
    ) -> Resident:
        # Quick, and it may be missing: done first.
        tokenizer = load_tokenizer(source, label, plain=self._plain)
        nbytes, dtype = memory_of(source)
        model = build_model(source, tensors, dtype, label, plain=self._plain)
        trim_heap()
        return Resident(key, model, tokenizer, nbytes, made_of)
