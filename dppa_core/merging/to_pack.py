"""From a recipe to sparse delta packs, one file per domain model.

On its base, a pack restores the tensors of the merge of one model alone, bit for bit.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dppa_core.checkpoints.adapters.kept import KeptCheckpoint
from dppa_core.checkpoints.adapters.kept_pack import KeptHeader
from dppa_core.checkpoints.adapters.pack_blocks import BLOCK
from dppa_core.checkpoints.adapters.packs import SUFFIX, PackHeader, has_delta, is_pack
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.fingerprints import known_fingerprint
from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.checkpoints.sources.references import kept_delta, short_name
from dppa_core.errors import DppaError, InvalidRecipe, UnknownName, did_you_mean
from dppa_core.forms.places import expected_bytes
from dppa_core.merging.differences.kept import write_kept_pack
from dppa_core.merging.differences.packed import PackedDifferences
from dppa_core.merging.folder import new_folder, refuse_entries
from dppa_core.merging.merger import TensorMerger, open_merger
from dppa_core.merging.plan import MergePlan
from dppa_core.merging.tensor_tasks import write_tensors
from dppa_core.methods.registry import get_method
from dppa_core.methods.shared.treatment import (
    Banded,
    DroppedTreatment,
    RandomDrop,
    Ranked,
    Treatment,
)
from dppa_core.preflight_checks.licences import merged_licence
from dppa_core.progress import Progress, RunControl, Stop
from dppa_core.pruning.floats import DTYPE_CODES
from dppa_core.recipes.recipe_argument import as_recipe
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe, recipe_hash
from dppa_core.system.threads import worker_count

_MAX_NAME_LENGTH = 100


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
    form: str
    """The form in which the delta is kept; empty for weights that differ."""
    stored: int
    """Weights in the pack: those that differ from the base once rounded."""
    nbytes: int
    """Size of the file."""
    places: int
    """Bytes of it that say which weights differ; none of places that were drawn at random."""
    values: int
    """Bytes of it that hold weights."""
    header: int
    """Its other bytes: names, sizes, recipe."""
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

    What is coded waits in a temporary file in that folder, so that memory does not grow with the
    model. The bytes depend on the recipe, the weights and the version of zstandard alone.

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
    models = chosen_models(recipe, None if model is None else str(model))
    read: list[Path] = []
    control: RunControl = {"progress": progress, "stop": stop}
    reports, check = [], refuse_other_files
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


def packed_forms(recipe: MergeRecipe, tuned: Sequence[Checkpoint]) -> dict[int, KeptCheckpoint]:
    """Place -> each model whose pack holds its form as it is."""
    if recipe.method != "task_arithmetic":
        return {}
    return {n: model for n, model in enumerate(tuned) if isinstance(model, KeptCheckpoint)}


def most_pack_bytes(plan: MergePlan, base: Checkpoint, without: Container[int] = ()) -> int:
    """Most bytes of the packs of all models but those at some places, before any weight is read;
    recipes apart."""
    nbytes = 0
    for name, tensor in plan.tensors.items():
        if not has_delta(base, name):
            continue
        for number, treatment in enumerate(plan.treatments(name)):
            if number in without:
                continue
            kept = _most_kept(treatment, tensor.numel)
            drawn = isinstance(treatment, RandomDrop)
            places = 0 if drawn else expected_bytes(min(kept, tensor.numel // 2), tensor.numel)
            blocks = -(-tensor.numel // BLOCK)
            nbytes += places + kept * tensor.itemsize + 120 * blocks + len(name) + 100
    return nbytes


def _most_kept(treatment: Treatment, numel: int) -> int:
    match treatment:
        case DroppedTreatment():
            return 0
        case RandomDrop(rate=rate) | Ranked(levels=(*_, rate)):
            return round((1 - rate) * numel)
        case Banded(selections=(*_, last)):
            return last.kept
    return numel


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


def chosen_models(recipe: MergeRecipe, model: str | None) -> dict[str, DomainModel]:
    """File name -> each model that is packed: all, or the one of that name."""
    check_packable(recipe)
    files = pack_names(recipe.models)
    if model is None:
        return files
    chosen_files = {name: item for name, item in files.items() if model in _names(name, item)}
    if not chosen_files:
        raise UnknownName(f"{model!r}: no model of the recipe. {did_you_mean(model, files)}")
    return chosen_files


def _names(file: str, model: DomainModel) -> tuple[str, ...]:
    """What a model may be called: by its file, its reference, or without its forms."""
    kept = kept_delta(model.model)
    return (file, model.model, *((kept.model, short_name(kept.model)) if kept else ()))


def _is_pack(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file(follow_symlinks=False) and is_pack(open_file(Path(entry.path)))
    except DppaError:
        return False


refuse_other_files = partial(refuse_entries, allowed=_is_pack, kind="is no delta pack")
"""Raises NotAllowed for a folder that holds more than packs; for `check_target`."""


def _write_pack(merger: TensorMerger, path: Path, workers: int, control: RunControl) -> PackReport:
    """Write one pack, from the merge of one model."""
    began, recipe = time.perf_counter(), merger.recipe
    licence = merged_licence(
        {parent.reference: parent.licence for parent in merger.inputs.parents()}
    )
    for kept in packed_forms(recipe, merger.inputs.tuned).values():
        return _write_form(merger, kept, licence.identifier or "", path, workers, control)
    header = PackHeader(
        base=recipe.base,
        base_hash=known_fingerprint(merger.base),
        dtype=DTYPE_CODES[recipe.dtype],
        recipe=dump_recipe(recipe),
        licence=licence.identifier or "",
    )
    with tempfile.TemporaryFile(dir=path.parent) as spool:
        pack = PackedDifferences(
            merger.base, header.dtype, spool, by_parts=merger.blocks is not None
        )
        write_tensors(merger, pack, workers, verb="pack ", **control)
        sha256 = pack.write(path, header.metadata(), control["stop"])
    sizes, nbytes = pack.totals(), os.stat(path).st_size
    return PackReport(
        base=recipe.base,
        model=recipe.models[0].model,
        file=path.name,
        recipe_hash=recipe_hash(recipe),
        numel=pack.numel,
        kept=sum(pack.kept.values()),
        form="",
        stored=pack.differing,
        nbytes=nbytes,
        places=sizes.places,
        values=sizes.values,
        header=nbytes - sizes.places - sizes.values,
        sha256=sha256,
        seconds=time.perf_counter() - began,
    )


def _write_form(
    merger: TensorMerger,
    kept: KeptCheckpoint,
    licence: str,
    path: Path,
    workers: int,
    control: RunControl,
) -> PackReport:
    """Write what a form keeps of the only model's delta; its coefficient is no part of it."""
    began, recipe = time.perf_counter(), merger.recipe
    base_hash = known_fingerprint(merger.base)
    header = KeptHeader(recipe.base, base_hash, str(kept.store), kept.model, licence)
    sha256 = write_kept_pack(kept, header, path, workers, control)
    names = [name for name in merger.names() if has_delta(merger.base, name)]
    numel = sum(merger.plan.tensors[name].numel for name in names)
    sizes = {name: info.size for name, info in open_file(path).tensors.items()}
    places = sum(size for name, size in sizes.items() if ".places/" in name)
    nbytes = os.stat(path).st_size
    return PackReport(
        base=recipe.base,
        model=recipe.models[0].model,
        file=path.name,
        recipe_hash=recipe_hash(recipe),
        numel=numel,
        kept=numel,
        form=kept.store.title(),
        stored=numel,
        nbytes=nbytes,
        places=places,
        values=sum(sizes.values()) - places,
        header=nbytes - sum(sizes.values()),
        sha256=sha256,
        seconds=time.perf_counter() - began,
    )
