"""From a recipe to a checkpoint folder, slice by slice, on all available cores."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, Unpack

from dppa_core.checkpoints.adapters.pack_blocks import differing
from dppa_core.checkpoints.adapters.packs import as_dtype
from dppa_core.checkpoints.checkpoint import low_bit_of
from dppa_core.checkpoints.fingerprints import Fingerprint, written_fingerprints
from dppa_core.checkpoints.low_bit.writer import FoldingWriter
from dppa_core.checkpoints.safetensors_writer import SafetensorsWriter, TensorSpec
from dppa_core.checkpoints.shard_writer import SHARD_SIZE, WeightsWriter, one_hash
from dppa_core.merging.cards.companions import Companions
from dppa_core.merging.cards.record import MergeRecord, Requantised
from dppa_core.merging.folder import (
    check_target,
    new_folder,
    write_config,
    write_files,
    write_provenance,
)
from dppa_core.merging.inputs import references
from dppa_core.merging.low_bit.target import requantising_warnings
from dppa_core.merging.merger import TensorMerger, open_merger
from dppa_core.merging.passes.deltas import Raw
from dppa_core.merging.tally import MergeTally
from dppa_core.merging.tensor_tasks import write_tensors
from dppa_core.preflight_checks.weight_findings import rounding_warnings
from dppa_core.progress import Progress, RunControl, Stop
from dppa_core.recipes.recipe_argument import as_recipe
from dppa_core.recipes.yaml_text import MergeRecipe, calibration_texts, recipe_hash
from dppa_core.system.threads import worker_count

Weights = tuple[dict[str, str], tuple[Fingerprint, ...]]
"""SHA-256 of every weight file by its name, and a fingerprint of every tensor."""


@dataclass(frozen=True, slots=True)
class MergeReport:
    """The outcome of a merge."""

    recipe_hash: str
    sources: tuple[str, ...]
    """References of base and domain models, those of the Hub with their commits."""
    densities: tuple[float, ...]
    """Share of the modules' delta kept, per domain model in the recipe's order; for random drops
    the expected share. For methods that combine deltas, the share that enters the combination."""
    warnings: tuple[str, ...]
    calibration: dict[str, str]
    """Domain model -> its calibration text; empty if none is read."""
    tokenizer: str
    """Its owner: a reference, or a union."""
    chat_template: str
    """Its owner, and why."""
    generation_config: str
    """Its owner."""
    dtype: str
    """Of the merged weights in plain numbers: the recipe's, or the base's where it names none."""
    rounding: float | None
    """Share of whole deltas, each times its coefficient, that rounding to that dtype takes,
    estimated from a sample; None where the dtype holds every sum, and in few bits."""
    seconds: float
    sha256: str
    """Of model.safetensors; for several files, of the lines `sha256sum` prints for them."""
    files: dict[str, str] = field(repr=False)
    """SHA-256 of every weight file, by its name."""
    digest: str
    """One hash of all tensors, the same in any number of files; see `one_fingerprint`."""
    low_bit: tuple[str, ...] = ()
    """Formats of few bits of the models."""
    requantised: Requantised | None = None
    """What rounding to a format of few bits took; None for plain numbers."""


def merge_to_folder(
    recipe: MergeRecipe | str | Path,
    out: str | Path,
    *,
    backend: str = "auto",
    same_format: bool = False,
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
        recipe: A recipe, or the path of its file.
        backend, public: See `TensorMerger`, `open_inputs`.
        same_format: Write the low-bit format of the base, or of the first model that has one.
        overwrite: Allows to replace an existing checkpoint folder.
        shard_size: Bytes of the tensors in one weight file at most.
        sync: Waits until the disk has everything; see `atomic_folder`.
        workers: Threads; one for every available core if unset. The bytes are the same.
        progress: Called after each tensor.
        stop: Ends the merge between two slices of tensors; nothing is left behind.

    Raises:
        InvalidRecipe: see `as_recipe`.
        InvalidValue: the folder exists already, or cannot be written.
        NotAllowed: the folder may not be replaced; see `check_target`.
        CheckpointError: see `open_inputs`.
    """
    began, threads = time.perf_counter(), worker_count(workers)
    recipe = as_recipe(recipe)
    check_target(Path(out), (), overwrite=overwrite)  # before the long part, and again after it
    control: RunControl = {"progress": progress, "stop": stop}
    merger = open_merger(
        recipe, backend=backend, same_format=same_format, public=public, workers=threads, **control
    )
    tally = MergeTally(merger.plan, merger.inputs.parents())
    fill = partial(_write_weights, merger, tally, shard_size, threads, control)
    return finish(began, merger, tally, fill, out, overwrite=overwrite, sync=sync)


def finish(
    began: float,
    merger: TensorMerger,
    tally: MergeTally,
    fill: Callable[[Path], Weights],
    out: str | Path,
    *,
    overwrite: bool,
    sync: bool,
) -> MergeReport:
    """Make the folder: its weights first, then the files beside them; see `merge_to_folder`.

    Args:
        began: Start of the merge, on the clock of `time.perf_counter`.
        tally: Counts while `fill` runs.
        fill: Writes the weights into the folder, the index included.
    """
    recipe, beside, target = merger.recipe, merger.inputs.companions(), merger.target
    loss = None if target else merger.inputs.rounding_loss()
    folders, models = merger.inputs.folders(), (merger.base, *merger.inputs.tuned)
    with new_folder(Path(out), folders, overwrite=overwrite, sync=sync) as folder:
        weights = fill(folder)
        record = _write_beside(folder, merger, beside, tally, weights)
    return MergeReport(
        recipe_hash=recipe_hash(recipe),
        sources=references(recipe),
        densities=tuple(record.density(n) or 0.0 for n in range(len(recipe.models))),
        warnings=(
            *(*tally.warnings(), *merger.plan.warnings),
            *(*merger.inputs.alignment.notes, *beside.warnings),
            *rounding_warnings(loss),
            *requantising_warnings(record.requantised),
        ),
        calibration=dict(calibration_texts(recipe)),
        **asdict(beside.origins),
        dtype=recipe.dtype,
        rounding=loss.share if loss else None,
        seconds=time.perf_counter() - began,
        sha256=one_hash(record.files),
        files=dict(record.files),
        digest=record.digest,
        low_bit=tuple(dict.fromkeys(few.title for few in map(low_bit_of, models) if few)),
        requantised=record.requantised,
    )


def _write_beside(
    folder: Path,
    merger: TensorMerger,
    beside: Companions,
    tally: MergeTally,
    weights: Weights,
) -> MergeRecord:
    """Write all but the weights, and return the record."""
    target = merger.target
    config = target.config(beside.config) if target else beside.config
    write_config(config, merger.recipe.dtype, folder)
    write_files(beside.files, folder)
    energies = tuple(plan.energy for plan in merger.plan.plans)
    record = MergeRecord(
        *(tally.parents, tally.modules(), energies, *weights),
        origins=beside.origins,
        warnings=merger.plan.warnings,
        pipeline=beside.pipeline,
        requantised=target.requantised(tally.losses) if target else None,
    )
    write_provenance(merger.recipe, record, folder)
    return record


def _write_weights(
    merger: TensorMerger,
    tally: MergeTally,
    shard_size: int,
    workers: int,
    control: RunControl,
    folder: Path,
) -> Weights:
    specs = stored_specs(merger)
    with closing(WeightsWriter(folder, specs, shard_size)) as writer:
        fill_files(merger, writer, tally, workers, **control)
        return writer.finish(), written_fingerprints(specs, writer.digests())


def stored_specs(merger: TensorMerger) -> tuple[TensorSpec, ...]:
    """The tensors of a merge's weight files."""
    tensors, target = merger.plan.tensors, merger.target
    return target.specs(tensors) if target else tuple(tensors.values())


def fill_files(
    merger: TensorMerger,
    writer: WeightsWriter | SafetensorsWriter,
    tally: MergeTally,
    workers: int,
    **control: Unpack[RunControl],
) -> None:
    """Merge what a writer's files hold, and write it."""
    target, base = merger.target, merger.base
    with target.writing(writer, base, tally.losses) if target else nullcontext(writer) as places:
        write_tensors(merger, _FolderSink(merger, places, tally), workers, **control)


class _FolderSink:
    """Writes merged tensors into files, and counts them in the tally."""

    whole: Literal["bounded"] = "bounded"

    def __init__(
        self,
        merger: TensorMerger,
        writer: WeightsWriter | SafetensorsWriter | FoldingWriter,
        tally: MergeTally,
    ) -> None:
        self._merger, self._writer, self._tally = merger, writer, tally
        self.names, self.keep = writer.names, tally.keep

    def room(self, name: str, start: int, stop: int) -> None:
        return None

    def take(self, name: str, start: int, merged: Raw, base: Raw | None) -> None:
        """See `Sink`."""
        if base is not None and not self._tally.changed:
            dtypes = self._merger.base.dtype(name), self._merger.plan.tensors[name].dtype
            self._tally.changed = bool(differing(as_dtype(base, *dtypes), merged).any())
        self._writer.place(name, merged, start)
