"""Models in memory, shared by everybody: loaded or merged on demand, under a byte budget.

Knows references and recipes; no visitor, no page.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dppa_core.checkpoint import Checkpoint
from dppa_core.errors import OutOfBudget
from dppa_core.loading import build_model, load_tokenizer
from dppa_core.merger import Merger
from dppa_core.progress import Progress, Stop, check
from dppa_core.recipe import MergeRecipe, recipe_hash
from dppa_core.resident import Resident
from dppa_core.safetensors_io import file_identity
from dppa_core.sources import ModelRef, open_checkpoint

BYTE_BUDGET = 2 * 1024**3
FLOAT32_LIMIT = 200_000_000
"""Up to this many parameters a model computes in float32, which a CPU does fastest; larger ones
in bfloat16, which takes half the memory."""


class ModelPool:
    """Resident models by reference or recipe hash; the least recently used leave first.

    Safe for many threads: one loads or merges at a time, all may read. A model that has left
    the pool lives on until its last user lets go of it. One whose files were replaced is made
    anew.
    """

    def __init__(self, byte_budget: int = BYTE_BUDGET, *, public: bool = False) -> None:
        self._byte_budget = byte_budget
        self._public = public
        self._residents: OrderedDict[str, Resident] = OrderedDict()
        self._table = threading.Lock()
        self._building = threading.Lock()

    def get(
        self,
        target: str | MergeRecipe,
        *,
        progress: Progress | None = None,
        stop: Stop | None = None,
    ) -> Resident:
        """The model of a reference (`zoo:math`) or a recipe, from memory where it is there.

        Raises:
            OutOfBudget: The model alone is larger than the whole budget.
            Cancelled: `stop` was set before it was ready.
        """
        if isinstance(target, MergeRecipe):
            key = recipe_hash(target)
        else:
            key = str(ModelRef.parse(target, public=self._public))
        found = self._find(key)
        if found:
            return found
        with self._building:
            found = self._find(key)
            if found:
                return found
            check(stop)
            if isinstance(target, MergeRecipe):
                resident = self._merged(key, target, progress, stop)
            else:
                resident = self._loaded(key, target, progress, stop)
            self._keep(resident)
            return resident

    def loaded(self) -> tuple[str, ...]:
        """Keys of the models in memory, least recently used first."""
        with self._table:
            return tuple(self._residents)

    @property
    def nbytes(self) -> int:
        """Bytes of all models in memory."""
        with self._table:
            return sum(resident.nbytes for resident in self._residents.values())

    def _find(self, key: str) -> Resident | None:
        with self._table:
            found = self._residents.get(key)
            if found is None:
                return None
            if any(file_identity(path) != before for path, before in found.made_of.items()):
                del self._residents[key]
                return None
            self._residents.move_to_end(key)
            return found

    def _keep(self, resident: Resident) -> None:
        with self._table:
            self._residents[resident.key] = resident
            while sum(kept.nbytes for kept in self._residents.values()) > self._byte_budget:
                self._residents.popitem(last=False)

    def _loaded(
        self, key: str, reference: str, progress: Progress | None, stop: Stop | None
    ) -> Resident:
        checkpoint = open_checkpoint(reference, public=self._public, progress=progress, stop=stop)
        self._check_budget(key, checkpoint)  # before the long part
        tensors = {
            name: (checkpoint.dtype(name), checkpoint.shape(name), checkpoint.raw(name))
            for name in checkpoint.names()
        }
        return self._resident(key, key, checkpoint, tensors, checkpoint.identities())

    def _merged(
        self, key: str, recipe: MergeRecipe, progress: Progress | None, stop: Stop | None
    ) -> Resident:
        merger = Merger(recipe, public=self._public, progress=progress, stop=stop)
        self._check_budget(key, merger.base)  # before the long part
        names, tensors = merger.names(), {}
        for done, name in enumerate(names):
            check(stop)
            tensors[name] = merger.tensor(name)
            if progress:
                progress(done + 1, len(names), "merge")
        made_of = dict[Path, str]()
        for checkpoint in (merger.base, *merger.tuned):
            made_of |= checkpoint.identities()
        return self._resident(key, recipe.base, merger.base, tensors, made_of)

    def _check_budget(self, key: str, checkpoint: Checkpoint) -> None:
        needed = _numel(checkpoint) * _itemsize(checkpoint)
        if needed > self._byte_budget:
            raise OutOfBudget(
                f"{key} needs {needed / 1e9:.1f} GB in memory and the budget is "
                f"{self._byte_budget / 1e9:.1f} GB. Choose a smaller model or raise the budget."
            )

    def _resident(
        self,
        key: str,
        label: str,
        source: Checkpoint,
        tensors: dict[str, Any],
        made_of: Mapping[Path, str],
    ) -> Resident:
        tokenizer = load_tokenizer(source, label)  # the quick part first: it may be missing
        itemsize = _itemsize(source)
        dtype = torch.float32 if itemsize == 4 else torch.bfloat16
        model = build_model(source, tensors, dtype, label)
        return Resident(key, model, tokenizer, _numel(source) * itemsize, made_of)


def _numel(checkpoint: Checkpoint) -> int:
    return sum(math.prod(checkpoint.shape(name)) for name in checkpoint.names())


def _itemsize(checkpoint: Checkpoint) -> int:
    """Bytes of one parameter in memory."""
    return 4 if _numel(checkpoint) <= FLOAT32_LIMIT else 2
