"""From a recipe to sparse delta packs, one file for each of its domain models.

Knows mergers and files; what is in a file is said by `pack_format`. A pack restores, on its base,
the tensors of the merge of one model alone, bit for bit.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped
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
from dppa_core.checkpoints.chunks import slices
from dppa_core.checkpoints.fingerprints import known_fingerprint
from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.checkpoints.safetensors_writer import SafetensorsWriter, TensorSpec
from dppa_core.checkpoints.sources.references import short_name
from dppa_core.errors import DppaError, InvalidRecipe, NotAllowed, UnknownName, did_you_mean
from dppa_core.merging.cards.licences import merged_licence
from dppa_core.merging.chunk_pass import Fuser
from dppa_core.merging.combined_pass import Layers
from dppa_core.merging.folder import Entries, check_target
from dppa_core.merging.merger import Merger
from dppa_core.methods.registry import get_method
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.pruning.floats import DTYPE_CODES, FLOATS
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe, recipe_hash
from dppa_core.system.atomic_folders import atomic_folder
from dppa_core.system.threads import Shared, Spare, side_by_side, worker_count

_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class PackReport:
    """What one pack holds."""

    base: str
    """Reference of its base, of the Hub with its commit."""
    model: str
    """Reference of the domain model, of the Hub with its commit."""
    file: str
    """Its name in the folder."""
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
    recipe: MergeRecipe,
    out: str | Path,
    *,
    model: str | None = None,
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
        recipe: What is done to the deltas.
        out: The folder to make.
        model: Only this one: its reference, or the name its file would have.
        coefficient: Instead of the recipe's; 1 for packs that are to be weighed when merged.
        overwrite: Whether a folder of packs that is there may be replaced.
        sync: Whether to wait until the disk has everything.
        public: Whether strangers wrote the recipe; see `Merger`.
        workers: Threads; one for every available core if unset. The bytes are the same.
        progress: Told tensor by tensor.
        stop: Ends the work between two slices; nothing is left behind.

    Raises:
        InvalidRecipe: a method that combines deltas, so that no part of it is one model's, or a
            vocabulary that is not the base's.
        UnknownName: `model` is none of the recipe's.
        InvalidValue, NotAllowed: see `check_target`.
        CheckpointError: see `Merger`.
    """
    out, threads = Path(out), worker_count(workers)
    chosen = _choose(recipe, model)
    read: list[Path] = []

    def check_place() -> Path:
        return check_target(out, read, overwrite=overwrite, check_entries=_check_packs)

    reports, may_replace = [], check_place if overwrite else None
    with atomic_folder(check_place(), may_replace=may_replace, sync=sync) as folder:
        for name, one in chosen.items():
            one = one if coefficient is None else replace(one, coefficient=coefficient)
            alone = replace(recipe, models=(one,), chat_template="auto")  # a pack holds none
            merger = Merger(alone, public=public, workers=threads, progress=progress, stop=stop)
            read += merger.folders()
            packer = _Packer(merger, threads, progress, stop)
            reports.append(packer.write(folder / (name + SUFFIX)))
    return tuple(reports)


def pack_names(models: Sequence[DomainModel]) -> dict[str, DomainModel]:
    """What the pack of each model is called: its short name, numbered where two are the same."""
    found: dict[str, DomainModel] = {}
    for model in models:
        stem = re.sub(r"[^\w.-]+", "-", short_name(model.model)).strip(".-")[:_LONGEST_NAME]
        stem = name = stem or "model"
        number = 2
        while name in found:
            name, number = f"{stem}-{number}", number + 1
        found[name] = model
    return found


def check_packable(recipe: MergeRecipe) -> None:
    """Refuse a recipe of which no part is one model's; raises InvalidRecipe."""
    if get_method(recipe.method).combination is not None and len(recipe.models) > 1:
        raise InvalidRecipe(
            f"{recipe.method} makes one delta of all models, so no part of it is the pack of one. "
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

    def __init__(
        self, merger: Merger, workers: int, progress: Progress | None, stop: Stop | None
    ) -> None:
        self._merger, self._workers = merger, workers
        self._progress, self._stop = progress, stop
        self._names = tuple(n for n in merger.names() if has_delta(merger.base, n))
        self._numel = {name: math.prod(merger.base.shape(name)) for name in self._names}
        self._dtype = DTYPE_CODES[merger.recipe.dtype]
        self._fusers = Spare(lambda: Fuser(merger.loader()))
        self._kept: dict[str, int] = {}

    def write(self, path: Path) -> PackReport:
        """Count what differs, lay the file out, and fill it."""
        began, recipe = time.perf_counter(), self._merger.recipe
        counts: dict[str, list[int]] = {name: [] for name in self._names}
        for name, count in self._run("compare", _only_count, self._names):
            counts[name].append(count)
        places = {
            name: list(accumulate(found, initial=0)) for name, found in counts.items() if any(found)
        }
        with closing(SafetensorsWriter(path, self._specs(places), self._metadata())) as writer:
            for _ in self._run("pack", partial(_write_slice, writer, places), places):
                check(self._stop)
            sha256 = writer.finish()
        numel, stored = sum(self._numel.values()), sum(found[-1] for found in places.values())
        return PackReport(
            base=recipe.base,
            model=recipe.models[0].model,
            file=path.name,
            recipe_hash=recipe_hash(recipe),
            numel=numel,
            kept=sum(self._kept.values()),
            stored=stored,
            nbytes=os.stat(path).st_size,
            bound=mask_bytes(numel) + stored * np.dtype(FLOATS[self._dtype]).itemsize,
            sha256=sha256,
            seconds=time.perf_counter() - began,
        )

    def _metadata(self) -> dict[str, str]:
        merger = self._merger
        licence = merged_licence({one.reference: one.licence for one in merger.parents()})
        return PackHeader(
            base=merger.recipe.base,
            base_hash=known_fingerprint(merger.base),
            dtype=self._dtype,
            recipe=dump_recipe(merger.recipe),
            licence=licence.identifier or "",
        ).metadata()

    def _specs(self, places: Mapping[str, Sequence[int]]) -> Iterator[TensorSpec]:
        for name, found in places.items():
            yield TensorSpec(MASK + name, "U8", (mask_bytes(self._numel[name]),))
            yield TensorSpec(VALUES + name, self._dtype, (found[-1],))

    def _run(self, what: str, work: _Work, names: Iterable[str]) -> Iterator[tuple[str, int]]:
        """Every slice's tensor and number of weights that differ, in their order."""
        names = tuple(names)
        done, last = 0, ""
        with closing(side_by_side(self._tasks(work, names), self._workers)) as found:
            for name, count in found:
                done, last = done + (name != last), name
                report(self._progress, done, len(names), f"{what} {name}")
                yield name, count

    def _tasks(self, work: _Work, names: Iterable[str]) -> Iterator[partial[tuple[str, int]]]:
        for name in names:
            numel = self._numel[name]
            parts = ((0, numel),) if self._merger.combines and numel else slices(numel)
            shared = Shared(partial(self._prepare, name), len(parts))
            for index, (start, stop) in enumerate(parts):
                yield partial(self._slice, work, shared, _Slice(name, index, start, stop))

    def _prepare(self, name: str) -> Layers:
        with self._fusers.one() as fuser:
            layers = self._merger.layers(name, fuser.loader)
        if layers is None:
            raise TypeError(f"{name} is copied, and no part of a pack")
        self._kept[name] = layers.fusion.kept[0]
        return layers

    def _slice(self, work: _Work, shared: Shared[Layers], part: _Slice) -> tuple[str, int]:
        check(self._stop)
        with shared.use() as layers, self._fusers.one() as fuser:
            fusion = layers.fusion
            if self._merger.combines:
                merged = self._merger.combined(layers)
            else:
                merged = fuser.fuse(fusion, part.start, part.stop)
            base = fusion.base[part.start : part.stop]
            differs = differing(as_dtype(base, fusion.base_dtype, self._dtype), merged)
            work(part, differs, merged)
            return part.name, int(np.count_nonzero(differs))


@dataclass(frozen=True, slots=True)
class _Slice:
    """A piece of a tensor, as in `slices`."""

    name: str
    index: int
    start: int
    stop: int


_Work = Callable[[_Slice, Bool[ndarray, " n"], Shaped[ndarray, " n"]], None]
"""What is done with a slice, where it differs from the base, and its merged weights."""


def _only_count(part: _Slice, differs: Bool[ndarray, " n"], merged: Shaped[ndarray, " n"]) -> None:
    """Nothing: slices are counted anyway."""


def _write_slice(
    writer: SafetensorsWriter,
    places: Mapping[str, Sequence[int]],
    part: _Slice,
    differs: Bool[ndarray, " n"],
    merged: Shaped[ndarray, " n"],
) -> None:
    """Put a slice where the counts before it say it belongs."""
    writer.place(MASK + part.name, to_mask(differs), part.start // 8)
    writer.place(VALUES + part.name, merged[differs], places[part.name][part.index])
