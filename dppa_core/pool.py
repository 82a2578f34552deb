"""Models in memory, shared by everybody: loaded or merged on demand, under a byte budget.

Knows references and recipes; no visitor, no page.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import torch

from dppa_core.checkpoint import SafetensorsCheckpoint
from dppa_core.errors import DamagedCheckpoint, OutOfBudget
from dppa_core.merge import Merger
from dppa_core.names import is_buffer
from dppa_core.progress import Progress, Stop, check
from dppa_core.recipe import MergeRecipe, recipe_hash
from dppa_core.resident import Resident
from dppa_core.sources import ModelRef, open_checkpoint

BYTE_BUDGET = 2 * 1024**3
FLOAT32_LIMIT = 200_000_000
"""Up to this many parameters a model computes in float32, which a CPU does fastest; larger ones
stay in the dtype of their files."""

_TORCH_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


class ModelPool:
    """Resident models by reference or recipe hash; the least recently used leave first.

    Safe for many threads: one loads or merges at a time, all may read. A model that has left
    the pool lives on until its last user lets go of it.
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
        key = (
            recipe_hash(target) if isinstance(target, MergeRecipe) else str(ModelRef.parse(target))
        )
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
                resident = self._loaded(key, target)
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
            if key in self._residents:
                self._residents.move_to_end(key)
            return self._residents.get(key)

    def _keep(self, resident: Resident) -> None:
        with self._table:
            self._residents[resident.key] = resident
            while sum(kept.nbytes for kept in self._residents.values()) > self._byte_budget:
                self._residents.popitem(last=False)

    def _loaded(self, key: str, reference: str) -> Resident:
        checkpoint = open_checkpoint(reference, public=self._public)
        tensors = {
            name: (checkpoint.dtype(name), checkpoint.shape(name), checkpoint.raw(name))
            for name in checkpoint.names()
        }
        return self._resident(key, checkpoint, tensors)

    def _merged(
        self, key: str, recipe: MergeRecipe, progress: Progress | None, stop: Stop | None
    ) -> Resident:
        merger = Merger(recipe, public=self._public)
        names, tensors = merger.names(), {}
        for done, name in enumerate(names):
            check(stop)
            tensors[name] = merger.tensor(name)
            if progress:
                progress(done + 1, len(names), "merge")
        return self._resident(key, open_checkpoint(recipe.base, public=self._public), tensors)

    def _resident(
        self, key: str, source: SafetensorsCheckpoint, tensors: dict[str, Any]
    ) -> Resident:
        # Heavy import, on first use only: the page is up before any model is.
        from transformers import AutoTokenizer  # noqa: PLC0415

        numel = sum(raw.size for _, _, raw in tensors.values())
        itemsize = 4 if numel <= FLOAT32_LIMIT else 2
        if numel * itemsize > self._byte_budget:
            raise OutOfBudget(
                f"{key} needs {numel * itemsize / 1e9:.1f} GB in memory and the budget is "
                f"{self._byte_budget / 1e9:.1f} GB. Choose a smaller model or raise the budget."
            )
        dtype = torch.float32 if itemsize == 4 else torch.bfloat16
        model = build_model(source, tensors, dtype)
        tokenizer = AutoTokenizer.from_pretrained(
            source.folder, local_files_only=True, trust_remote_code=False
        )
        return Resident(key, model, tokenizer, numel * itemsize)


def build_model(source: SafetensorsCheckpoint, tensors: dict[str, Any], dtype: torch.dtype) -> Any:
    """A transformers model of `source`'s architecture that holds `tensors`.

    Args:
        tensors: Name -> (dtype name, shape, raw 1-D array), as `Merger.tensor` gives them.
        dtype: What the model computes in.
    """
    # Heavy imports, on first use only.
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415
    from transformers.utils import logging  # noqa: PLC0415

    logging.disable_progress_bar()  # progress is ours to draw
    config = AutoConfig.from_pretrained(
        source.folder, local_files_only=True, trust_remote_code=False
    )
    state = {
        name: _to_torch(code, shape, raw).to(dtype)
        for name, (code, shape, raw) in tensors.items()
        if code in _TORCH_DTYPES and not is_buffer(name, shape)
    }
    # transformers' own loading knows what a family renames, fuses or ties in memory.
    model, found = AutoModelForCausalLM._model_mapping[type(config)].from_pretrained(
        None, config=config, state_dict=state, dtype=dtype, output_loading_info=True,
        ignore_mismatched_sizes=True,
    )  # fmt: skip
    unlike = [
        *sorted(found["missing_keys"]),
        *sorted(found["unexpected_keys"]),
        *sorted(name for name, *_ in found["mismatched_keys"]),
    ]
    if unlike:
        raise DamagedCheckpoint(
            f"{source.folder.name}: its tensors do not fit its config.json "
            f"(first difference: {unlike[0]}). Weights and configuration of different models in "
            "one folder are the usual cause."
        )
    return model.eval()


def _to_torch(dtype: str, shape: tuple[int, ...], raw: Any) -> torch.Tensor:
    values = raw.view("int16") if dtype == "BF16" else raw
    return torch.tensor(values).view(_TORCH_DTYPES[dtype]).reshape(shape)
