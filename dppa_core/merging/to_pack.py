"""From a recipe to sparse delta packs, one file per domain model.

`pack_format` defines the files. On its base, a pack restores the tensors of the merge of one model
alone, bit for bit.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from dppa_core.checkpoints.adapters.packs import (
    MASK,
    SUFFIX,
    VALUES,
    PackHeader,
    as_dtype,
    differing,
    has_delta,
    is_pack,
    mask_bytes,
    to_mask,
)
from dppa_core.checkpoints.fingerprints import known_fingerprint
from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.checkpoints.safetensors_writer import SafetensorsWriter, TensorSpec
from dppa_core.checkpoints.sources.references import short_name
from dppa_core.errors import DppaError, InvalidRecipe, UnknownName, did_you_mean
from dppa_core.merging.folder import new_folder, refuse_entries
from dppa_core.merging.merger import TensorMerger, open_merger
from dppa_core.merging.passes.deltas import Raw
from dppa_core.merging.tensor_tasks import write_tensors
from dppa_core.methods.registry import get_method
from dppa_core.preflight_checks.licences import merged_licence
from dppa_core.progress import Progress, RunControl, Stop
from dppa_core.pruning.floats import DTYPE_CODES, FLOATS
from dppa_core.recipes.recipe_argument import as_recipe
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe, recipe_hash
from dppa_core.system.threads import worker_count

_MAX_NAME_LENGTH = 100
Differs = Bool[ndarray, " slice"]


@dataclass(frozen=True, slots=True)
class PackReport:
    """The content of one pack."""

    base: str
    """Reference of its base, of the Hub with its commit."""
    model: str
    """Reference of the domain model, of the Hub with its commit."""
    file: str
    """Name of the file in the folder."""
    recipe_hash: str
    """Of the merge of this model alone."""
    numel: int
    """Weights of the model, buffers apart."""
    kept: int
    """Entries of the delta that the recipe keeps; of other tensors all, unless it drops them."""
    stored: int
    """Weights in the pack: those that differ from the base once rounded."""
    nbytes: int
    """Size of the file."""
    bound: int
    """Bytes of one bit a weight and of the stored weights: without a header, and masks whole."""
    sha256: str
    seconds: float


def pack_models(
    recipe: MergeRecipe | str | Path,
    out: str | Path,
    *,
    model: str | Path | None = None,
    coefficient: float | None = None,
    overwrite: bool = False,
    sync: bool = True,
    public: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> tuple[PackReport, ...]:
    """Write a pack for each domain model of a recipe; the folder appears whole or not at all.

    Every merged slice is computed twice, once to count and once to write, so that memory does not
    grow with the model. The bytes depend on the recipe and the weights alone.

    Args:
        recipe: A recipe, or the path of its file.
        model: Only this one: its reference, or the name its file would have.
        coefficient: Replaces the recipe's; 1 for packs that get theirs when merged.
        overwrite: Allows to replace an existing folder of packs.
        sync, public, workers, progress, stop: See `merge_to_folder`.

    Raises:
        InvalidRecipe: the method combines deltas, so that no part is one model's, or the
            vocabulary is not the base's.
        UnknownName: `model` is not in the recipe.
        InvalidValue, NotAllowed: see `check_target`.
        CheckpointError: see `open_inputs`.
    """
    out, threads, recipe = Path(out), worker_count(workers), as_recipe(recipe)
    models = _choose(recipe, None if model is None else str(model))
    read: list[Path] = []
    control: RunControl = {"progress": progress, "stop": stop}
    reports, check = [], partial(refuse_entries, allowed=_is_pack, kind="is no delta pack")
    with new_folder(out, read, overwrite=overwrite, sync=sync, check_entries=check) as folder:
        for name, packed in models.items():
            packed = packed if coefficient is None else replace(packed, coefficient=coefficient)
            alone = replace(recipe, models=(packed,), chat_template="auto")  # a pack holds none
            merger = open_merger(alone, public=public, workers=threads, **control)
            read += merger.inputs.folders()
            reports.append(_write_pack(merger, folder / (name + SUFFIX), threads, control))
    return tuple(reports)


def pack_names(models: Sequence[DomainModel]) -> dict[str, DomainModel]:
    """File name of each model's pack: its short name, numbered if two are the same."""
    files: dict[str, DomainModel] = {}
    for model in models:
        stem = re.sub(r"[^\w.-]+", "-", short_name(model.model)).strip(".-")[:_MAX_NAME_LENGTH]
        stem = name = stem or "model"
        number = 2
        while name in files:
            name, number = f"{stem}-{number}", number + 1
        files[name] = model
    return files


def check_packable(recipe: MergeRecipe, *, whole: bool = False) -> None:
    """Refuse a recipe without parts of single models, unless it is packed as a `whole`, and one of
    another vocabulary; raises InvalidRecipe."""
    combined = get_method(recipe.method).combination is not None and len(recipe.models) > 1
    if combined and not whole:
        raise InvalidRecipe(
            f"{recipe.method} makes one delta of all models, so it has no pack of a single one. "
            "Merge into a folder, then pack that: the only model of a recipe of task_arithmetic."
        )
    if not recipe.keeps_vocabulary:
        raise InvalidRecipe(
            f"vocabulary: {recipe.vocabulary}: a pack is laid over the base, row by row, so its "
            "vocabulary is the base's. Merge into a folder instead."
        )


def _choose(recipe: MergeRecipe, model: str | None) -> dict[str, DomainModel]:
    check_packable(recipe)
    files = pack_names(recipe.models)
    if model is None:
        return files
    chosen_files = {name: item for name, item in files.items() if model in (name, item.model)}
    if not chosen_files:
        raise UnknownName(f"{model!r}: no model of the recipe. {did_you_mean(model, files)}")
    return chosen_files


def _is_pack(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file(follow_symlinks=False) and is_pack(open_file(Path(entry.path)))
    except DppaError:
        return False


def _write_pack(merger: TensorMerger, path: Path, workers: int, control: RunControl) -> PackReport:
    """Write one pack, from the merge of one model."""
    began, recipe = time.perf_counter(), merger.recipe
    file = DifferenceFile(merger, workers, control)
    file.count()
    licence = merged_licence(
        {parent.reference: parent.licence for parent in merger.inputs.parents()}
    )
    header = PackHeader(
        base=recipe.base,
        base_hash=known_fingerprint(merger.base),
        dtype=file.dtype,
        recipe=dump_recipe(recipe),
        licence=licence.identifier or "",
    )
    sha256, stored = file.fill(path, header.metadata(), "pack "), sum(file.totals.values())
    return PackReport(
        base=recipe.base,
        model=recipe.models[0].model,
        file=path.name,
        recipe_hash=recipe_hash(recipe),
        numel=file.numel,
        kept=sum(file.kept.values()),
        stored=stored,
        nbytes=os.stat(path).st_size,
        bound=mask_bytes(file.numel) + stored * np.dtype(FLOATS[file.dtype]).itemsize,
        sha256=sha256,
        seconds=time.perf_counter() - began,
    )


class DifferenceFile:
    """The weights in which a merge differs from its base, as masks and values in one file.

    A first pass counts them, a second one writes them, so that memory does not grow with the
    model. It is the sink of both.
    """

    whole: Literal["never"] = "never"

    def __init__(self, merger: TensorMerger, workers: int, control: RunControl) -> None:
        self._merger, self._workers, self._control = merger, workers, control
        self.names = tuple(name for name in merger.names() if has_delta(merger.base, name))
        self.dtype = DTYPE_CODES[merger.recipe.dtype]
        self.numel = sum(merger.plan.tensors[name].numel for name in self.names)
        self.kept: dict[str, int] = {}
        """Tensor -> entries of the delta that the recipe keeps."""
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
            numel = self._merger.plan.tensors[name].numel
            yield TensorSpec(MASK + name, "U8", (mask_bytes(numel),))
            yield TensorSpec(VALUES + name, self.dtype, (total,))

    def fill(self, path: Path, metadata: Mapping[str, str], verb: str) -> str:
        """The second pass: write the file; returns its SHA-256."""
        for name, counts in self._counts.items():
            starts = sorted(counts)
            sums = accumulate((counts[start] for start in starts), initial=0)
            self._places[name] = dict(zip(starts, sums, strict=False))
        with closing(SafetensorsWriter(path, self.specs(), metadata)) as self._writer:
            write_tensors(self._merger, self, self._workers, verb=verb, **self._control)
            return self._writer.finish()

    def keep(self, name: str, kept: tuple[int, ...]) -> None:
        self.kept[name] = kept[0]

    def room(self, name: str, start: int, stop: int) -> Raw | None:
        """A combination comes in rows, which may not fill bytes of a mask."""
        if self._merger.blocks is None:
            return None
        return np.empty(stop - start, FLOATS[self._merger.plan.tensors[name].dtype])

    def take(self, name: str, start: int, merged: Raw, base: Raw | None) -> None:
        """See `Sink`."""
        if base is None:
            raise TypeError(f"{name} is copied, and no part of a pack")
        dtypes = self._merger.base.dtype(name), self._merger.plan.tensors[name].dtype
        differs = differing(as_dtype(base, *dtypes), merged)
        if self._writer is None:
            self._counts[name][start] = int(np.count_nonzero(differs))
            return
        place = self._places[name][start]
        self.write(self._writer, name, start, place, differs, merged[differs])

    def write(
        self,
        writer: SafetensorsWriter,
        name: str,
        start: int,
        place: int,
        differs: Differs,
        values: Raw,
    ) -> None:
        """Write a slice of a tensor: the weights that differ, their values from `place` on."""
        writer.place(MASK + name, to_mask(differs), start // 8)
        writer.place(VALUES + name, values, place)
