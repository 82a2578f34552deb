"""From a recipe to a checkpoint folder.

Knows what stands in the folder and what is counted on the way, not how a tensor is merged.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.atomic import atomic_folder
from dppa_core.card import model_card
from dppa_core.checkpoint import Checkpoint
from dppa_core.floats import FLOATS, from_float32, to_float32
from dppa_core.licences import merged_licence
from dppa_core.merge_folder import (
    check_target,
    copy_companions,
    write_config,
    write_provenance,
)
from dppa_core.merger import MergedTensor, Merger
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.recipe import MergeRecipe, dump_recipe, recipe_hash
from dppa_core.safetensors_write import TensorSpec
from dppa_core.shards import SHARD_SIZE, WeightsWriter, one_hash


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merge did."""

    recipe_hash: str
    densities: tuple[float, ...]
    """Share of the modules' delta kept, per domain model in the recipe's order; of random drops
    the expected share."""
    warnings: tuple[str, ...]
    seconds: float
    sha256: str
    """Of model.safetensors; of several files, of the lines `sha256sum` prints for them."""
    files: dict[str, str]
    """SHA-256 of every weight file, by its name."""


def merge_to_folder(
    recipe: MergeRecipe,
    out: str | Path,
    *,
    backend: str = "numba",
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
    sync: bool = True,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> MergeReport:
    """Merge into a folder that transformers loads; it appears when complete, or not at all.

    Beside the weights it gets the base's configuration, tokenizer and chat template, the recipe
    (recipe.yaml) and a model card (README.md). No file depends on time or machine.

    Args:
        recipe: What to merge.
        out: The folder to make.
        backend: See `Merger`.
        overwrite: Whether a checkpoint folder that is there may be replaced.
        shard_size: Bytes of the tensors in one weight file at most.
        sync: Whether to wait until the disk has everything; see `atomic_folder`.
        progress: Told tensor by tensor.
        stop: Ends the merge between two tensors; nothing is left behind.

    Raises:
        InvalidValue: the folder is there already, or cannot be written.
        NotAllowed: it may not be replaced; see `check_target`.
        CheckpointError: see `Merger`.
    """
    began, out = time.perf_counter(), Path(out)
    check_target(out, (), overwrite=overwrite)  # before the long part, and once more after it
    merger = Merger(recipe, backend=backend, progress=progress, stop=stop)
    sources = (merger.base, *merger.tuned)
    folders = tuple(folder for source in sources for folder in source.folders)

    def check_again() -> Path:
        return check_target(out, folders, overwrite=overwrite)

    tally = _Tally(merger, progress, stop)
    with atomic_folder(
        check_again(), may_replace=check_again if overwrite else None, sync=sync
    ) as folder:
        files = _write_weights(folder, tally, shard_size)
        write_config(merger.base.config, recipe.dtype, folder)
        copy_companions(merger.base.folder, folder)
        card = model_card(recipe, merger.plans, merger.parents())
        write_provenance(dump_recipe(recipe), card, folder)
    return MergeReport(
        recipe_hash=recipe_hash(recipe),
        densities=tally.densities(),
        warnings=tally.warnings(),
        seconds=time.perf_counter() - began,
        sha256=one_hash(files),
        files=files,
    )


def _write_weights(folder: Path, tally: _Tally, shard_size: int) -> dict[str, str]:
    with closing(WeightsWriter(folder, tally.specs(), shard_size)) as writer:
        for name in writer.names:
            writer.place(name, tally.merge(name))
        return writer.finish()


class _Tally:
    """Counts what is kept and whether anything changed while tensors stream by."""

    def __init__(self, merger: Merger, progress: Progress | None, stop: Stop | None) -> None:
        self._merger, self._progress, self._stop = merger, progress, stop
        self._modules = {module.tensor: module.numel for module in merger.modules}
        self._kept = np.zeros(len(merger.recipe.models), dtype=np.int64)
        self._done = 0
        self._changed = False

    def specs(self) -> list[TensorSpec]:
        """Name, dtype and shape of every merged tensor."""
        merger = self._merger
        return [
            TensorSpec(name, merger.dtype(name), merger.base.shape(name)) for name in merger.names()
        ]

    def merge(self, name: str) -> Shaped[ndarray, " n"]:
        """Merge one tensor and count what it keeps."""
        check(self._stop)
        merged = self._merger.merge(name)
        if name in self._modules:
            self._kept += merged.kept
        if not self._changed and merged.dtype in FLOATS:
            self._changed = not _same(self._merger.base, name, merged)
        self._done += 1
        report(self._progress, self._done, len(self._merger.names()), name)
        return merged.raw

    def densities(self) -> tuple[float, ...]:
        """Share of the modules' delta kept, per domain model."""
        total = sum(self._modules.values())
        return tuple(float(kept) / total if total else 0.0 for kept in self._kept)

    def warnings(self) -> tuple[str, ...]:
        """What someone should know before using the result."""
        found = []
        if not self._changed:
            found.append(
                "The merged weights are identical to the base: every delta was pruned away, "
                "multiplied by 0, or zero from the start."
            )
        for plan in self._merger.plans:
            wanted = sum(module.density * module.numel for module in plan.modules)
            if wanted - plan.kept > 1e-3 * plan.numel:
                found.append(
                    f"{plan.finetuned}: {plan.density:.2%} of the delta is kept, not "
                    f"{wanted / plan.numel:.2%}: ties at a threshold were pruned, or more "
                    "elements are equal to the base than were to be dropped."
                )
        stated = {parent.reference: parent.licence for parent in self._merger.parents()}
        return (*found, *merged_licence(stated).warnings)


def _same(base: Checkpoint, name: str, merged: MergedTensor) -> bool:
    raw, dtype = base.raw(name), base.dtype(name)
    if dtype != merged.dtype:
        raw = from_float32(to_float32(raw, dtype), merged.dtype)
    return np.array_equal(raw.view(np.uint8), merged.raw.view(np.uint8))  # bits: NaN is itself
