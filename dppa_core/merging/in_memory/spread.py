"""Models that do not fit into memory: their layers on GPUs, then in memory, then on disk."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.adapters.packs import SUFFIX
from dppa_core.checkpoints.checkpoint import FolderCheckpoint
from dppa_core.checkpoints.folders.architectures import is_encoder
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import InvalidValue, OutOfBudget, shown
from dppa_core.merging.convert import convert_to_folder
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.models.loading import check_buildable, load_tokenizer
from dppa_core.models.resident import Resident
from dppa_core.progress import RunControl, check
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.error_translation import ForeignCode
from dppa_core.system.temporary import TemporaryFolder

MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
"""How accelerate spreads layers over devices; the rest goes to memory, then to disk."""
DTYPES = ("float32", "bfloat16", "float16")


def check_spread(device_map: str, dtype: str) -> None:
    """Raise InvalidValue for an unknown map or dtype."""
    for name, value, choices in (("device map", device_map, MAPS), ("dtype", dtype, DTYPES)):
        if value not in choices:
            raise InvalidValue(f"{name} must be one of {', '.join(choices)}, got {shown(value)}.")


def load_spread(
    target: str | MergeRecipe,
    *,
    device_map: str = "auto",
    dtype: str = "float32",
    max_memory: Mapping[int | str, int] | None = None,
    control: RunControl | None = None,
) -> tuple[Resident, TemporaryFolder]:
    """A model whose layers lie on all devices, in memory and on disk, by accelerate.

    A merge, and a model that is no folder of safetensors, is first written into a temporary
    folder, tensor by tensor. That folder is to be closed after the last use of the model.

    Args:
        device_map: One of `MAPS`.
        dtype: Dtype of the computation. bfloat16 takes half the room of float32.
        max_memory: Device (a number, or "cpu") -> most bytes; all free memory if unset.
        control: Progress and stop of the writing.

    Raises:
        CheckpointError: a model cannot be read, or finds no room.
        Cancelled: `stop` was set.
    """
    control = control or {}
    disk = TemporaryFolder("offload")
    with ExitStack() as failed:
        failed.callback(disk.close)
        key, folder = _written(target, disk.path / "weights", control)
        check(control.get("stop"))
        resident = _loaded(key, folder, disk.path / "layers", device_map, dtype, max_memory)
        failed.pop_all()
    return resident, disk


def _written(target: str | MergeRecipe, place: Path, control: RunControl) -> tuple[str, Path]:
    """The target's key, and a folder of safetensors with its weights."""
    if isinstance(target, MergeRecipe):
        merge_to_folder(target, place, sync=False, **control)
        return recipe_hash(target), place
    source = open_checkpoint(target, **control)
    suffixes = {path.suffix for path in source.identities()}
    plain = isinstance(source, FolderCheckpoint) and source.low_bit is None
    if plain and suffixes == {SUFFIX}:
        return target, source.folder
    convert_to_folder(target, place, sync=False, **control)
    return target, place


def _loaded(
    key: str,
    folder: Path,
    disk: Path,
    device_map: str,
    dtype: str,
    max_memory: Mapping[int | str, int] | None,
) -> Resident:
    import torch  # noqa: PLC0415  (seconds)
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    # It warns that layers lie on disk, which is the purpose.
    logging.getLogger("accelerate.big_modeling").setLevel(logging.ERROR)
    source = FolderCheckpoint(folder)
    if is_encoder(source.config):
        raise OutOfBudget(
            f"{key}: an encoder, which is never spread over devices, exceeds the budget. Raise it "
            "with --memory or DPPA_MEMORY, such as 12GB."
        )
    tokenizer = load_tokenizer(source, key)  # refuses code, unknown families
    check_buildable(source, key)
    cause = "Too little room on all devices, in memory and on disk is the usual cause."
    with ForeignCode(f"{key}: cannot be spread over the devices here", cause):
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            device_map=device_map,
            max_memory=None if max_memory is None else dict(max_memory),
            offload_folder=str(disk),
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    held = (weight for weight in model.parameters() if weight.device.type == "cpu")
    nbytes = sum(weight.numel() * weight.element_size() for weight in held)
    return Resident(key, model.eval(), tokenizer, nbytes)


def room_of(byte_budget: int) -> dict[int | str, int]:
    """All free memory of the GPUs, and this much of the processor's, for `load_spread`."""
    from accelerate.utils import get_max_memory  # noqa: PLC0415  (seconds)

    free: dict[int | str, int] = get_max_memory()
    return free | {"cpu": byte_budget}
