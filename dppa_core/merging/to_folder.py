"""From a recipe to a checkpoint folder, slice by slice, on as many cores as there are.

Knows checkpoints to read and files to write; what a tensor is made of is the merger's affair.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.chunks import slices
from dppa_core.checkpoints.fingerprints import Fingerprint, written_fingerprints
from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.checkpoints.shards import SHARD_SIZE, WeightsWriter, one_hash
from dppa_core.merging.cards.companions import Companions
from dppa_core.merging.cards.record import MergeRecord, energies_of
from dppa_core.merging.chunk_pass import Fuser, equals_base
from dppa_core.merging.combined_pass import Layers
from dppa_core.merging.folder import (
    check_target,
    write_config,
    write_provenance,
)
from dppa_core.merging.merge_at_once import WholeTensors
from dppa_core.merging.merger import Merger
from dppa_core.merging.tally import MergeTally
from dppa_core.progress import Progress, Stop, check
from dppa_core.recipes.yaml_text import MergeRecipe, calibration_texts, recipe_hash
from dppa_core.system.atomic_folders import atomic_folder
from dppa_core.system.threads import Shared, Spare, side_by_side, worker_count

LARGEST_WHOLE, SCRATCH = 1 << 23, 1 << 22
"""Most elements of a tensor that is merged whole, and most words of 8 bytes it may take to settle
its ties: what a merge to a folder needs of memory is to be the same for models of any size."""

Weights = tuple[dict[str, str], tuple[Fingerprint, ...]]
"""SHA-256 of every weight file by its name, and a fingerprint of every tensor."""


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merge did."""

    recipe_hash: str
    sources: tuple[str, ...]
    """References of base and domain models, those of the Hub with their commits."""
    densities: tuple[float, ...]
    """Share of the modules' delta kept, per domain model in the recipe's order; of random drops
    the expected share. Of methods that combine deltas, the share that goes into them."""
    warnings: tuple[str, ...]
    calibration: dict[str, str]
    """Domain model -> the text it was calibrated on; empty where none is read."""
    tokenizer: str
    """Whose: a reference, or a union."""
    chat_template: str
    """Whose and why."""
    generation_config: str
    """Whose."""
    seconds: float
    sha256: str
    """Of model.safetensors; of several files, of the lines `sha256sum` prints for them."""
    files: dict[str, str]
    """SHA-256 of every weight file, by its name."""
    digest: str
    """One hash of all tensors, the same in any number of files; see `one_fingerprint`."""


def merge_to_folder(
    recipe: MergeRecipe,
    out: str | Path,
    *,
    backend: str = "numba",
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
    sync: bool = True,
    public: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> MergeReport:
    """Merge into a folder that transformers loads; it appears when complete, or not at all.

    Beside the weights it gets configuration, tokenizer and chat template (the base's, unless the
    recipe says otherwise), the recipe (recipe.yaml), what was kept with hashes of all tensors
    (merge.json), and a model card with its plots (README.md). No file depends on time or machine.

    Args:
        recipe: What to merge.
        out: The folder to make.
        backend, public: See `Merger`.
        overwrite: Whether a checkpoint folder that is there may be replaced.
        shard_size: Bytes of the tensors in one weight file at most.
        sync: Whether to wait until the disk has everything; see `atomic_folder`.
        workers: Threads; one for every available core if unset. The bytes are the same.
        progress: Told tensor by tensor.
        stop: Ends the merge between two slices of tensors; nothing is left behind.

    Raises:
        InvalidValue: the folder is there already, or cannot be written.
        NotAllowed: it may not be replaced; see `check_target`.
        CheckpointError: see `Merger`.
    """
    began, threads = time.perf_counter(), worker_count(workers)
    check_target(Path(out), (), overwrite=overwrite)  # before the long part, and once more after it
    told: dict[str, Any] = {"progress": progress, "stop": stop}
    merger = Merger(recipe, backend=backend, public=public, workers=threads, **told)
    tally = MergeTally(merger, progress)
    fill = partial(_write_weights, merger, tally, shard_size, threads, stop)
    return finish(began, merger, tally, fill, out, overwrite=overwrite, sync=sync)


def finish(
    began: float,
    merger: Merger,
    tally: MergeTally,
    fill: Callable[[Path], Weights],
    out: str | Path,
    *,
    overwrite: bool,
    sync: bool,
) -> MergeReport:
    """Make the folder: its weights first, then what lies beside them; see `merge_to_folder`.

    Args:
        began: When the merge did, on the clock of `time.perf_counter`.
        merger: What is merged.
        tally: Counts while `fill` runs.
        fill: Writes the weights into the folder, the index included.
    """
    out, recipe, beside = Path(out), merger.recipe, merger.companions()

    def check_again() -> Path:
        return check_target(out, merger.folders(), overwrite=overwrite)

    may_replace = check_again if overwrite else None
    with atomic_folder(check_again(), may_replace=may_replace, sync=sync) as folder:
        weights = fill(folder)
        record = _write_beside(folder, merger, beside, tally, weights)
    return MergeReport(
        recipe_hash=recipe_hash(recipe),
        sources=(recipe.base, *(model.model for model in recipe.models)),
        densities=tally.densities(),
        warnings=_warnings(merger, beside, tally),
        calibration=dict(calibration_texts(recipe)),
        **asdict(beside.origins),
        seconds=time.perf_counter() - began,
        sha256=one_hash(record.files),
        files=dict(record.files),
        digest=record.digest,
    )


def _warnings(merger: Merger, beside: Companions, tally: MergeTally) -> tuple[str, ...]:
    counted, named = tally.warnings(), merger.base_warnings()
    return (*counted, *named, *merger.alignment.notes, *beside.warnings)


def _write_beside(
    folder: Path, merger: Merger, beside: Companions, tally: MergeTally, weights: Weights
) -> MergeRecord:
    """Write all but the weights; what the merge did."""
    write_config(beside.config, merger.recipe.dtype, folder)
    for name, content in beside.files.items():
        (folder / name).write_bytes(content)
    record = MergeRecord(
        *(tally.parents, tally.modules(), energies_of(merger.plans), *weights),
        origins=beside.origins,
        warnings=merger.base_warnings(),
    )
    write_provenance(merger.recipe, record, folder)
    return record


def _write_weights(
    merger: Merger,
    tally: MergeTally,
    shard_size: int,
    workers: int,
    stop: Stop | None,
    folder: Path,
) -> Weights:
    specs = tensor_specs(merger)
    with closing(WeightsWriter(folder, specs, shard_size)) as writer:
        weave(merger, writer, tally, workers, stop)
        return writer.finish(), written_fingerprints(specs, writer.digests())


def tensor_specs(merger: Merger) -> list[TensorSpec]:
    """All merged tensors, as they are stored."""
    return [
        TensorSpec(name, merger.dtype(name), merger.base.shape(name)) for name in merger.names()
    ]


@runtime_checkable
class Writer(Protocol):
    """Takes tensors in slices, from any thread."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tensors it wants, in the order in which it is best given them."""
        ...

    def place(self, name: str, raw: Shaped[ndarray, " n"], start: int = 0) -> None:
        """Take a slice; see `SafetensorsWriter.place`."""
        ...


def weave(
    merger: Merger, writer: Writer, tally: MergeTally, workers: int, stop: Stop | None
) -> None:
    """Merge the tensors that a writer wants, on so many threads.

    Raises:
        Cancelled: `stop` was set.
    """
    weaver = _Weaver(merger, writer, tally, stop)
    with closing(side_by_side(weaver.tasks(), workers)) as done:
        for name, elements in done:
            tally.count(name, elements)
    check(stop)  # workers may have been done before it was set


class _Weaver:
    """The tasks of a merge: slices of tensors, merged and written by any thread in any order."""

    def __init__(
        self, merger: Merger, writer: Writer, tally: MergeTally, stop: Stop | None
    ) -> None:
        self._merger, self._writer, self._tally, self._stop = merger, writer, tally, stop
        self._fusers = Spare(lambda: Fuser(merger.loader()))
        numel = sum(math.prod(merger.base.shape(name)) for name in writer.names)
        self._whole = WholeTensors(merger, numel, SCRATCH, once=True)

    def tasks(self) -> Iterator[partial[tuple[str, int]]]:
        """One task a slice. It returns the tensor's name and how many elements it has written."""
        for name in self._writer.names:
            numel = math.prod(self._merger.base.shape(name))
            if numel <= LARGEST_WHOLE and self._whole.take(name):
                yield partial(self._write_whole, name, numel)
                continue
            parts = ((0, numel),) if self._merger.combines else slices(numel)
            shared = Shared(partial(self._prepare, name), len(parts))
            yield from (partial(self._write, name, shared, start, stop) for start, stop in parts)

    def _write_whole(self, name: str, numel: int) -> tuple[str, int]:
        check(self._stop)
        models = self._merger.ingredients(name) or ()
        kept = self._whole.kept(name, models)
        with self._whole.scratch.one() as scratch:
            out = scratch.out(numel)
            if kept is not None and self._whole.merge(name, models, out, scratch):
                self._tally.keep(name, kept)
                if not self._tally.changed:
                    self._tally.changed = not np.array_equal(self._merger.base.raw(name), out)
                self._writer.place(name, out)
                return name, numel
        shared = Shared(partial(self._prepare, name), 1)
        return self._write(name, shared, 0, numel)

    def _prepare(self, name: str) -> Layers | None:
        with self._fusers.one() as fuser:
            layers = self._merger.layers(name, fuser.loader)
        if layers is not None:
            self._tally.keep(name, layers.fusion.kept)
        return layers

    def _write(
        self, name: str, shared: Shared[Layers | None], start: int, stop: int
    ) -> tuple[str, int]:
        check(self._stop)
        with shared.use() as layers, self._fusers.one() as fuser:
            for first, raw in self._parts(name, layers, fuser, start, stop):
                if layers is not None and not self._tally.changed:
                    self._tally.changed = not equals_base(layers.fusion, first, raw)
                self._writer.place(name, raw, first)
        return name, stop - start

    def _parts(
        self, name: str, layers: Layers | None, fuser: Fuser, start: int, stop: int
    ) -> Iterator[tuple[int, Shaped[ndarray, " n"]]]:
        """(first element, merged elements), some at a time."""
        if layers is None:
            yield start, self._merger.base.raw(name)[start:stop]
        elif self._merger.combines:
            yield from self._merger.stacks.blocks(layers)
        else:
            yield start, fuser.fuse(layers.fusion, start, stop)
