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
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from dppa_core.checkpoints.adapters.pack_format import (
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
from dppa_core.errors import DppaError, InvalidRecipe, NotAllowed, UnknownName, did_you_mean
from dppa_core.merging.folder import Entries, new_folder
from dppa_core.merging.merger import TensorMerger, open_merger
from dppa_core.merging.passes.deltas import Raw
from dppa_core.merging.tensor_tasks import write_tensors
from dppa_core.methods.registry import get_method
from dppa_core.preflight_checks.licences import merged_licence
from dppa_core.progress import Progress, Stop
from dppa_core.pruning.floats import DTYPE_CODES, FLOATS
from dppa_core.recipes.recipe_argument import as_recipe
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe, recipe_hash
from dppa_core.system.threads import worker_count

_LONGEST_NAME = 100
Differs = Bool[ndarray, " slice"]


@dataclass(frozen=True, slots=True)
class PackReport:
    """What one pack holds."""

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
        overwrite: Whether an existing folder of packs may be replaced.
        sync, public, workers, progress, stop: See `merge_to_folder`.

    Raises:
        InvalidRecipe: the method combines deltas, so that no part is one model's, or the
            vocabulary is not the base's.
        UnknownName: `model` is not in the recipe.
        InvalidValue, NotAllowed: see `check_target`.
        CheckpointError: see `open_inputs`.
    """
    out, threads, recipe = Path(out), worker_count(workers), as_recipe(recipe)
    chosen = _choose(recipe, None if model is None else str(model))
    read: list[Path] = []
    told: dict[str, Any] = {"progress": progress, "stop": stop}
    reports, check = [], _check_packs
    with new_folder(out, read, overwrite=overwrite, sync=sync, check_entries=check) as folder:
        for name, one in chosen.items():
            one = one if coefficient is None else replace(one, coefficient=coefficient)
            alone = replace(recipe, models=(one,), chat_template="auto")  # a pack holds none
            merger = open_merger(alone, public=public, workers=threads, **told)
            read += merger.inputs.folders()
            packer = _Packer(merger, threads, **told)
            reports.append(packer.write(folder / (name + SUFFIX)))
    return tuple(reports)


def pack_names(models: Sequence[DomainModel]) -> dict[str, DomainModel]:
    """File name of each model's pack: its short name, numbered if two are the same."""
    found: dict[str, DomainModel] = {}
    for model in models:
        stem = re.sub(r"[^\w.-]+", "-", short_name(model.model)).strip(".-")[:_LONGEST_NAME]
        stem = name = stem or "model"
        number = 2
        while name in found:
            name, number = f"{stem}-{number}", number + 1
        found[name] = model
    return found


def check_packable(recipe: MergeRecipe, *, whole: bool = False) -> None:
    """Refuse a recipe without parts of single models, unless it is packed as a `whole`, and one of
    another vocabulary; raises InvalidRecipe."""
    combined = get_method(recipe.method).combination is not None and len(recipe.models) > 1
    if combined and not whole:
        raise InvalidRecipe(
            f"{recipe.method} makes one delta of all models, so it has no pack of a single one. "
            "Merge into a folder, then pack that: the only model of a recipe of task_arithmetic."
        )
    if recipe.vocabulary != "base":
        raise InvalidRecipe(
            f"vocabulary: {recipe.vocabulary}: a pack is laid over the base, row by row, so its "
            "vocabulary is the base's. Merge into a folder instead."
        )


def _choose(recipe: MergeRecipe, wanted: str | None) -> dict[str, DomainModel]:
    check_packable(recipe)
    names = pack_names(recipe.models)
    if wanted is None:
        return names
    found = {name: one for name, one in names.items() if wanted in (name, one.model)}
    if not found:
        raise UnknownName(f"{wanted!r}: no model of the recipe. {did_you_mean(wanted, names)}")
    return found


def _check_packs(out: Path, found: Entries) -> None:
    """Refuse to replace a folder that holds anything but packs."""
    for entry in sorted(found, key=lambda entry: entry.name):
        try:
            ours = entry.is_file(follow_symlinks=False) and is_pack(open_file(Path(entry.path)))
        except DppaError:
            ours = False
        if not ours:
            raise NotAllowed(
                f"{out}: holds {entry.name}, which is no delta pack, and is not overwritten. Move "
                "it away, or choose another folder."
            )


class _Packer:
    """One pack, from the merge of one model."""

    def __init__(self, merger: TensorMerger, workers: int, **told: Any) -> None:
        self._merger, self._workers, self._told = merger, workers, told
        self._names = tuple(n for n in merger.names() if has_delta(merger.base, n))
        self._numel = {name: merger.plan.tensors[name].numel for name in self._names}
        self._dtype = DTYPE_CODES[merger.recipe.dtype]

    def write(self, path: Path) -> PackReport:
        """Count the differing weights, lay the file out, and fill it."""
        began, recipe = time.perf_counter(), self._merger.recipe
        counted = DifferenceSink(self._merger, self._names)
        write_tensors(self._merger, counted, self._workers, verb="compare ", **self._told)
        totals = counted.totals()
        with closing(SafetensorsWriter(path, self._specs(totals), self._metadata())) as writer:
            sink = DifferenceSink(self._merger, tuple(totals), writer, counted.places())
            write_tensors(self._merger, sink, self._workers, verb="pack ", **self._told)
            sha256 = writer.finish()
        numel, stored = sum(self._numel.values()), sum(totals.values())
        return PackReport(
            base=recipe.base,
            model=recipe.models[0].model,
            file=path.name,
            recipe_hash=recipe_hash(recipe),
            numel=numel,
            kept=sum(counted.kept.values()),
            stored=stored,
            nbytes=os.stat(path).st_size,
            bound=mask_bytes(numel) + stored * np.dtype(FLOATS[self._dtype]).itemsize,
            sha256=sha256,
            seconds=time.perf_counter() - began,
        )

    def _metadata(self) -> dict[str, str]:
        merger = self._merger
        licence = merged_licence({one.reference: one.licence for one in merger.inputs.parents()})
        return PackHeader(
            base=merger.recipe.base,
            base_hash=known_fingerprint(merger.base),
            dtype=self._dtype,
            recipe=dump_recipe(merger.recipe),
            licence=licence.identifier or "",
        ).metadata()

    def _specs(self, totals: Mapping[str, int]) -> Iterator[TensorSpec]:
        for name, total in totals.items():
            yield TensorSpec(MASK + name, "U8", (mask_bytes(self._numel[name]),))
            yield TensorSpec(VALUES + name, self._dtype, (total,))


class DifferenceSink:
    """Counts, in every slice, the weights that differ from the base; then writes them in place, as
    masks and values."""

    whole: Literal["never"] = "never"

    def __init__(
        self,
        merger: TensorMerger,
        names: tuple[str, ...],
        writer: SafetensorsWriter | None = None,
        places: Mapping[str, Mapping[int, int]] | None = None,
    ) -> None:
        self._merger, self._writer, self._places = merger, writer, places or {}
        self.names = names
        self.counts: dict[str, dict[int, int]] = {name: {} for name in names}
        """Tensor -> start of a slice -> weights that differ."""
        self.kept: dict[str, int] = {}

    def totals(self) -> dict[str, int]:
        """Tensor -> weights that differ, of those tensors that do."""
        sums = {name: sum(found.values()) for name, found in self.counts.items()}
        return {name: total for name, total in sums.items() if total}

    def places(self) -> dict[str, dict[int, int]]:
        """Tensor -> start of a slice -> place of its first weight among those that differ."""
        found = {}
        for name, counts in self.counts.items():
            starts = sorted(counts)
            sums = accumulate((counts[start] for start in starts), initial=0)
            found[name] = dict(zip(starts, sums, strict=False))
        return found

    def keep(self, name: str, kept: tuple[int, ...]) -> None:
        self.kept[name] = kept[0]

    def room(self, name: str, start: int, stop: int) -> Raw | None:
        """A combination comes in rows, which may not fill bytes of a mask."""
        if self._merger.combined is None:
            return None
        return np.empty(stop - start, FLOATS[self._merger.plan.tensors[name].dtype])

    def take(self, name: str, start: int, merged: Raw, base: Raw | None) -> None:
        """See `Sink`."""
        if base is None:
            raise TypeError(f"{name} is copied, and no part of a pack")
        dtypes = self._merger.base.dtype(name), self._merger.plan.tensors[name].dtype
        differs = differing(as_dtype(base, *dtypes), merged)
        if self._writer is None:
            self.counts[name][start] = int(np.count_nonzero(differs))
        else:
            self.write(self._writer, name, start, differs, merged)

    def write(
        self, writer: SafetensorsWriter, name: str, start: int, differs: Differs, merged: Raw
    ) -> None:
        """Place one slice of a tensor: which weights differ, and these weights."""
        writer.place(MASK + name, to_mask(differs), start // 8)
        writer.place(VALUES + name, merged[differs], self.place(name, start))

    def place(self, name: str, start: int) -> int:
        """Place of a slice's first weight among those of its tensor that differ."""
        return self._places[name][start]
