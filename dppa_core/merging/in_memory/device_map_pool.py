"""Models spread over several devices by accelerate's device maps, if they fit on none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Unpack

from dppa_core.checkpoints.adapters.pack_format import SUFFIX
from dppa_core.checkpoints.checkpoint import Checkpoint, FolderCheckpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import InvalidValue, shown
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.loading import load_tokenizer
from dppa_core.models.resident import Resident
from dppa_core.progress import RunControl, check
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.error_translation import ForeignCode
from dppa_core.system.temporary import TemporaryFolder

MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
"""How accelerate spreads layers over devices; the rest goes to memory, then to disk."""
DTYPES = ("float32", "bfloat16", "float16")


class SpreadModelPool(ModelPool):
    """Lends one model at a time, its layers on all devices, then in memory, then on disk.

    Args:
        device_map: One of `MAPS`.
        dtype: Dtype of the computation. bfloat16 takes half the room of float32.
        max_memory: Device (a number, or "cpu") -> most bytes; all free memory if unset.

    Raises:
        InvalidValue: unknown map or dtype.
    """

    def __init__(
        self,
        device_map: str = "auto",
        dtype: str = "float32",
        max_memory: Mapping[int | str, int] | None = None,
    ) -> None:
        super().__init__()
        for name, value, known in (("device map", device_map, MAPS), ("dtype", dtype, DTYPES)):
            if value not in known:
                raise InvalidValue(f"{name} must be one of {', '.join(known)}, got {shown(value)}.")
        self._map, self.computes = device_map, dtype
        self._max_memory = dict(max_memory) if max_memory is not None else None

    @contextmanager
    def lend(self, target: str | MergeRecipe, **control: Unpack[RunControl]) -> Iterator[Resident]:
        """A model while the block runs; its files on disk are removed afterwards.

        Raises:
            InvalidValue: the target is a recipe, or no folder of safetensors.
        """
        if isinstance(target, MergeRecipe):
            raise InvalidValue(
                "A merge that is spread over devices is read from its folder: write it first "
                "(dppa merge), and name the folder."
            )
        check(control.get("stop"))
        source = open_checkpoint(target, **control)
        weights = [path.suffix for path in source.identities()]
        if not isinstance(source, FolderCheckpoint) or {*weights} != {SUFFIX}:
            raise InvalidValue(
                f"{target}: only a folder of safetensors is spread over devices. Write another "
                "model as one with dppa convert."
            )
        with closing(TemporaryFolder("offload")) as disk:
            yield self._load(target, source, disk.path)

    def _load(self, target: str, source: Checkpoint, disk: Path) -> Resident:
        import torch  # noqa: PLC0415  (seconds)
        from transformers import AutoModelForCausalLM  # noqa: PLC0415

        tokenizer = load_tokenizer(source, target)  # refuses code and unknown architectures
        cause = "Too little room on all devices, in memory and on disk is the usual cause."
        with ForeignCode(f"{target}: cannot be spread over the devices here", cause):
            model = AutoModelForCausalLM.from_pretrained(
                source.folder,
                device_map=self._map,
                max_memory=self._max_memory,
                offload_folder=str(disk),
                dtype=getattr(torch, self.computes),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
            )
        nbytes = sum(weight.numel() * weight.element_size() for weight in model.parameters())
        return Resident(target, model.eval(), tokenizer, nbytes)
