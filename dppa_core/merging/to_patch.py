"""From a recipe to one sparse patch of its base: flat indices and weights of every tensor.

These are the fields of vLLM's `CheckpointWeightPatch`, which a running server applies to the base:
vllm.model_executor.model_loader.checkpoint_weight_patch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np

from dppa_core.checkpoints.adapters.pack_blocks import differing
from dppa_core.checkpoints.fingerprints import known_fingerprint
from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.checkpoints.safetensors_writer import SafetensorsWriter, TensorSpec
from dppa_core.errors import DppaError
from dppa_core.merging.differences.sink import DifferenceSink
from dppa_core.merging.folder import new_folder, refuse_entries
from dppa_core.merging.merger import TensorMerger, open_merger
from dppa_core.merging.passes.deltas import Raw
from dppa_core.merging.tensor_tasks import write_tensors
from dppa_core.merging.to_pack import check_packable
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.progress import Progress, RunControl, Stop
from dppa_core.pruning.floats import DTYPE_CODES
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, recipe_hash
from dppa_core.system.threads import worker_count

FILE_NAME = "patch.safetensors"
INDICES, VALUES = ".indices", ".values"
"""Ends of a tensor's entries."""
_KIND = "dppa-patch"


@dataclass(frozen=True, slots=True)
class PatchReport:
    """The content of a patch."""

    base: str
    """Reference of the base it is laid over."""
    file: str
    recipe_hash: str
    numel: int
    """Weights of the model, buffers apart."""
    stored: int
    """Weights in the patch: those that differ from the base once rounded."""
    nbytes: int
    """Size of the file."""
    merged_nbytes: int
    """Size of the merged weights as a checkpoint, for comparison."""
    sha256: str


@dataclass(frozen=True, slots=True)
class PatchSize:
    """Size of a patch, known before it is written."""

    nbytes: int
    """Bytes of its entries, without the header."""
    merged_nbytes: int
    """Bytes of the merged weights as a checkpoint."""

    @property
    def text(self) -> str:
        """Both as a sentence, and the remedy if the patch is the larger one."""
        sizes = (
            f"The patch takes {in_bytes(self.nbytes)}, the merged checkpoint "
            f"{in_bytes(self.merged_nbytes)}."
        )
        if self.nbytes <= self.merged_nbytes:
            return sizes
        return f"{sizes} `dppa merge` writes the smaller one; more pruning makes the patch smaller."


def patch_base(
    recipe: MergeRecipe,
    out: str | Path,
    *,
    overwrite: bool = False,
    sync: bool = True,
    public: bool = False,
    workers: int | None = None,
    announce: Callable[[PatchSize], None] | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> PatchReport:
    """Write what a recipe changes of its base into `out`/patch.safetensors.

    For every tensor NAME that differs, NAME.indices (I64, rising) and NAME.values hold the changed
    weights; the header's `shapes` holds the shape of each as JSON. Memory does not grow with the
    model.

    Args:
        overwrite: Allows to replace an existing folder with a patch.
        announce: Called with the size once the weights are compared, before anything is written.
        sync, public, workers, progress, stop: See `merge_to_folder`.

    Raises:
        InvalidRecipe: the vocabulary is not the base's.
        InvalidValue, NotAllowed, CheckpointError: see `pack_models`.
    """
    check_packable(recipe, whole=True)
    out, threads = Path(out), worker_count(workers)
    control: RunControl = {"progress": progress, "stop": stop}
    read: list[Path] = []
    check = partial(refuse_entries, allowed=_is_patch, kind="is no patch")
    with new_folder(out, read, overwrite=overwrite, sync=sync, check_entries=check) as folder:
        merger = open_merger(recipe, public=public, workers=threads, **control)
        read += merger.inputs.folders()
        return _write_patch(merger, folder / FILE_NAME, threads, announce, control)


def _write_patch(
    merger: TensorMerger,
    path: Path,
    threads: int,
    announce: Callable[[PatchSize], None] | None,
    control: RunControl,
) -> PatchReport:
    file = _PatchFile(merger, threads, control)
    file.count()
    merged_nbytes = sum(spec.nbytes for spec in merger.plan.tensors.values())
    size = PatchSize(sum(spec.nbytes for spec in file.specs()), merged_nbytes)
    if announce is not None:
        announce(size)
    metadata = {
        "format": _KIND,
        "version": "2",
        "base": merger.recipe.base,
        "base_hash": known_fingerprint(merger.base),
        "recipe": dump_recipe(merger.recipe),
        "shapes": json.dumps({name: merger.base.shape(name) for name in file.names}),
    }
    sha256 = file.fill(path, metadata, "write ")
    return PatchReport(
        base=merger.recipe.base,
        file=path.name,
        recipe_hash=recipe_hash(merger.recipe),
        numel=file.numel,
        stored=sum(file.totals.values()),
        nbytes=os.stat(path).st_size,
        merged_nbytes=merged_nbytes,
        sha256=sha256,
    )


class _PatchFile(DifferenceSink):
    """Flat indices and weights of what differs.

    A first pass counts them, a second one writes them, so that memory does not grow with the
    model. It is the sink of both.
    """

    def __init__(self, merger: TensorMerger, workers: int, control: RunControl) -> None:
        dtype = DTYPE_CODES[merger.recipe.dtype]
        super().__init__(merger.base, dtype, by_parts=merger.blocks is not None)
        self._merger, self._workers, self._control = merger, workers, control
        self.totals: dict[str, int] = {}
        """Tensor -> weights that differ, of those tensors that do; after `count`."""
        self._counts: dict[str, dict[int, int]] = {name: {} for name in self.names}
        """Tensor -> start of a slice -> weights that differ."""
        self._places: dict[str, dict[int, int]] = {}
        """Tensor -> start of a slice -> place of its first weight among those that differ."""
        self._writer: SafetensorsWriter | None = None

    def count(self) -> None:
        """The first pass: count the weights that differ."""
        write_tensors(self._merger, self, self._workers, verb="compare ", **self._control)
        sums = {name: sum(counts.values()) for name, counts in self._counts.items()}
        self.totals = {name: total for name, total in sums.items() if total}
        self.names = tuple(self.totals)

    def specs(self) -> Iterator[TensorSpec]:
        """Entries of the file."""
        for name, total in self.totals.items():
            yield TensorSpec(name + INDICES, "I64", (total,))
            yield TensorSpec(name + VALUES, self.dtype, (total,))

    def fill(self, path: Path, metadata: Mapping[str, str], verb: str) -> str:
        """The second pass: write the file; returns its SHA-256."""
        for name, counts in self._counts.items():
            starts = sorted(counts)
            sums = accumulate((counts[start] for start in starts), initial=0)
            self._places[name] = dict(zip(starts, sums, strict=False))
        with closing(SafetensorsWriter(path, self.specs(), metadata)) as self._writer:
            write_tensors(self._merger, self, self._workers, verb=verb, **self._control)
            return self._writer.finish()

    def compare(self, name: str, start: int, base: Raw, merged: Raw) -> None:
        """See `DifferenceSink`."""
        differs = differing(base, merged)
        if self._writer is None:
            self._counts[name][start] = int(np.count_nonzero(differs))
            return
        place = self._places[name][start]
        indices = np.flatnonzero(differs).astype(np.int64) + start
        self._writer.place(name + INDICES, indices, place)
        self._writer.place(name + VALUES, merged[differs], place)


def _is_patch(entry: os.DirEntry[str]) -> bool:
    try:
        return open_file(Path(entry.path)).metadata.get("format") == _KIND
    except (DppaError, OSError):
        return False
