"""A merge on a cluster: profiles and weight files are computed on any free core.

Models, target and cache are on a file system that all nodes see under the same paths. The bytes
are those of `merge_to_folder`.
"""

from __future__ import annotations

import heapq
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Unpack

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.file_hashes import known_hashes, remember_hashes
from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.checkpoints.shard_writer import SHARD_SIZE
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.merging.cluster.parts import (
    Shards,
    WrittenShard,
    count,
    gather,
    parts_folder,
    read_shard,
    shards_of,
    write_shard,
)
from dppa_core.merging.cluster.ray import Cluster, joined
from dppa_core.merging.folder import check_target
from dppa_core.merging.inputs import aligned, pinned_recipe, pruner_of, references
from dppa_core.merging.merger import TensorMerger, open_merger
from dppa_core.merging.tally import MergeTally
from dppa_core.merging.to_folder import MergeReport, finish
from dppa_core.profiling.cache import load_profile, profile_entry, save_profile
from dppa_core.profiling.profile import profile_deltas
from dppa_core.profiling.reader import TunedModel
from dppa_core.progress import Progress, RunControl, Stop, report
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.module_groups import find_modules
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, parse_recipe

PARTS_PER_CORE = 3
"""Parts of a profile per core: a core that finishes early takes another."""


@dataclass(frozen=True, slots=True)
class MergeFacts:
    """Facts about a merge that the driver sends, so that no node computes them again."""

    recipe: str
    """As YAML."""
    hashes: dict[str, str]
    """Path -> hash of weight files."""
    profiles: tuple[DeltaProfile, ...] = ()
    """Of the domain models in the recipe's order, if the method needs them."""
    working_folder: str = ""
    """The folder that paths in the recipe are relative to."""
    folder: str = ""
    """The folder of the parts."""
    threads: int = 1
    same_format: bool = False


def merge_on_cluster(
    recipe: MergeRecipe,
    out: str | Path,
    *,
    address: str,
    same_format: bool = False,
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
    sync: bool = True,
    threads: int = 1,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> MergeReport:
    """Merge on a Ray cluster into a folder; see `merge_to_folder`, whose bytes these are.

    Parts of profiles and whole weight files are the tasks; more and smaller files keep more cores
    busy. The work of a lost worker is repeated. After a lost driver the same call continues with
    the complete files. This process writes index, configuration and card, at the end.

    Args:
        address: See `joined`.
        threads: Cores of each task.

    Raises:
        Unreachable: there is no cluster, or it loses every task.
        DppaError: see `merge_to_folder`.
    """
    began = time.perf_counter()
    check_target(Path(out), (), overwrite=overwrite)
    recipe, control = pinned_recipe(recipe, False), RunControl(progress=progress, stop=stop)
    with joined(address) as cluster:
        facts = prepared(cluster, recipe, threads, control)
        facts = replace(facts, same_format=same_format)
        merger = opened(facts, **control)
        tally = MergeTally(merger.plan, merger.inputs.parents())
        shards = shards_of(merger, shard_size)
        target = check_target(Path(out), merger.inputs.folders(), overwrite=overwrite)
        with parts_folder(merger, shard_size, target) as parts:
            facts = replace(facts, folder=str(parts))
            written = _written(cluster, facts, shards, tally, control)
            fill = partial(gather, shards, written, parts)
            merge_report = finish(began, merger, tally, fill, out, overwrite=overwrite, sync=sync)
            shutil.rmtree(parts, ignore_errors=True)
    return merge_report


# the driver's side


def prepared(
    cluster: Cluster, recipe: MergeRecipe, threads: int, control: RunControl
) -> MergeFacts:
    """Hash and profile all models that are not hashed and profiled yet."""
    names = references(recipe)
    report(control.get("progress"), 0, len(names), "reading the models")
    facts = MergeFacts(dump_recipe(recipe), {}, working_folder=os.getcwd(), threads=threads)
    hashed = [files for _, files in cluster.run(hash_model, facts, names, stop=control.get("stop"))]
    facts = replace(facts, hashes={path: sha for files in hashed for path, sha in files.items()})
    if recipe.calibrated or not pruner_of(recipe)[0].needs_profile:
        return facts  # none needed, or ranked by calibration text: the driver's own work
    return replace(facts, profiles=_profiles(cluster, facts, control))


def _profiles(cluster: Cluster, facts: MergeFacts, control: RunControl) -> tuple[DeltaProfile, ...]:
    """The profiles of all domain models: from the cache, or part by part from the nodes."""
    recipe = parse_recipe(facts.recipe)
    base, tuned = _models(facts)
    entries = [profile_entry(base.content_hash(), model.content_hash()) for model in tuned]
    profiles = {
        number: load_profile(entry, (recipe.base, recipe.models[number].model))
        for number, entry in enumerate(entries)
    }
    missing = tuple(number for number, profile in profiles.items() if profile is None)
    tensors = evenly(base, PARTS_PER_CORE * max(cluster.cores() // facts.threads, 1))
    items = [(missing, part) for part in tensors] if missing else []
    parts: list[tuple[DeltaProfile, ...]] = []
    for _, part in cluster.run(profile_part, facts, items, facts.threads, control.get("stop")):
        parts.append(part)
        report(control.get("progress"), len(parts), len(items), "parts of the profiles")
    for number, *profiled in zip(missing, *parts, strict=True):
        profiles[number] = whole = joined_profile(profiled, base)
        save_profile(entries[number], whole)
    return tuple(profile for profile in profiles.values() if profile is not None)


def evenly(checkpoint: Checkpoint, parts: int) -> list[frozenset[str]]:
    """A checkpoint's tensors in non-empty parts of about the same number of bytes."""
    names = checkpoint.names()
    return evenly_sized({name: checkpoint.raw(name).nbytes for name in names}, parts)


def evenly_sized(sizes: Mapping[str, int], parts: int) -> list[frozenset[str]]:
    """Names in parts of about the same size: the largest first, each to the smallest part."""
    heap: list[tuple[int, int, list[str]]] = [(0, part, []) for part in range(parts)]
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        filled, part, held = heapq.heappop(heap)
        held.append(name)
        heapq.heappush(heap, (filled + sizes[name], part, held))
    return [frozenset(held) for _, _, held in sorted(heap, key=lambda item: item[1]) if held]


def joined_profile(parts: Sequence[DeltaProfile], base: Checkpoint) -> DeltaProfile:
    """The whole profile of a pair, joined from profiles that together cover all its tensors."""
    modules = find_modules({name: base.shape(name) for name in base.names()})
    order = {module.tensor: place for place, module in enumerate(modules)}
    profiled = sorted(
        chain.from_iterable(part.modules for part in parts),
        key=lambda profile: order[profile.module.tensor],
    )
    others = sum(part.other_tensors for part in parts)
    return DeltaProfile(parts[0].base, parts[0].finetuned, tuple(profiled), others)


def _written(
    cluster: Cluster, facts: MergeFacts, shards: Shards, tally: MergeTally, control: RunControl
) -> dict[str, WrittenShard]:
    """Every weight file, whether written now or before."""
    items = list(shards.items())
    written: dict[str, WrittenShard] = {}
    for _, shard in cluster.run(shard_task, facts, items, facts.threads, control.get("stop")):
        written[shard.file] = shard
        count(tally, shard)
        report(control.get("progress"), len(written), len(shards), shard.file)
    return written


# the nodes' side: each function is called on any node, any number of times


def hash_model(facts: MergeFacts, reference: str) -> dict[str, str]:
    """Path -> hash of a model's weight files."""
    os.chdir(facts.working_folder)
    checkpoint = open_checkpoint(reference)
    checkpoint.content_hash()
    return known_hashes(checkpoint)


def profile_part(
    facts: MergeFacts, item: tuple[tuple[int, ...], frozenset[str]]
) -> tuple[DeltaProfile, ...]:
    """The profiles of some tensors of some domain models."""
    numbers, tensors = item
    recipe = parse_recipe(facts.recipe)
    base, tuned = _models(facts)
    models = [TunedModel(tuned[number], recipe.models[number].model) for number in numbers]
    return profile_deltas(base, models, recipe.base, workers=facts.threads, only=tensors)


def shard_task(facts: MergeFacts, item: tuple[str, tuple[TensorSpec, ...]]) -> WrittenShard:
    """One weight file, written unless it exists."""
    (file, specs), folder = item, Path(facts.folder)
    shard = read_shard(file, specs, folder)
    return shard or write_shard(_resident(facts), file, specs, folder, workers=facts.threads)


def _models(facts: MergeFacts) -> tuple[Checkpoint, tuple[Checkpoint, ...]]:
    """Base and domain models in the merge's vocabulary."""
    os.chdir(facts.working_folder)  # the driver's, in a process with no other work
    recipe = parse_recipe(facts.recipe)
    models = [open_checkpoint(name) for name in references(recipe)]
    for model in models:
        remember_hashes(model, facts.hashes)
    alignment = aligned(recipe, models)
    return alignment.base, alignment.tuned


def opened(facts: MergeFacts, **control: Unpack[RunControl]) -> TensorMerger:
    """A merger that uses the known hashes and profiles."""
    base, tuned = _models(facts)
    for model, profile in zip(tuned, facts.profiles, strict=False):
        entry = profile_entry(base.content_hash(), model.content_hash())
        if load_profile(entry, (profile.base, profile.finetuned)) is None:
            save_profile(entry, profile)
    recipe = parse_recipe(facts.recipe)
    return open_merger(
        recipe, backend="numba", same_format=facts.same_format, workers=facts.threads, **control
    )


_mergers: dict[tuple[str, bool], TensorMerger] = {}


def _resident(facts: MergeFacts) -> TensorMerger:
    """The merger of this process, shared by all the files it writes."""
    key = facts.recipe, facts.same_format
    if key not in _mergers:
        _mergers.clear()
        _mergers[key] = opened(facts)
    return _mergers[key]
