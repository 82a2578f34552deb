"""A merge in parts, by jobs of a batch system that share nothing but a file system."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.shard_writer import SHARD_SIZE
from dppa_core.errors import InvalidValue, many
from dppa_core.merging.cluster.claims import Terms, check_terms, claim, earlier_terms, release
from dppa_core.merging.cluster.parts import (
    Shards,
    WrittenShard,
    check_parts,
    count,
    gather,
    leftovers,
    parts_folder,
    read_shard,
    shards_of,
    write_shard,
)
from dppa_core.merging.folder import check_target
from dppa_core.merging.merger import TensorMerger, open_merger
from dppa_core.merging.tally import MergeTally
from dppa_core.merging.to_folder import MergeReport, finish
from dppa_core.progress import Progress, RunControl, Stop, check, report
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.threads import worker_count


@dataclass(frozen=True, slots=True)
class PartReport:
    """What one job did."""

    written: int
    """Weight files that were written now."""
    files: int
    """Those of this part, with files that were there."""
    of: int
    """Those of the whole merge."""
    folder: str
    """Where they wait."""
    warnings: tuple[str, ...] = ()


def merge_part(
    recipe: MergeRecipe,
    out: Path,
    part: int,
    parts: int,
    *,
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
    **options: Any,
) -> PartReport:
    """Write one part of a merge's weight files beside its folder; `join_parts` makes the folder.

    Args:
        part: From 1 to `parts`. Parts may run at the same time, and again: what is complete stays.
        overwrite, shard_size: See `merge_to_folder`; the same for all parts.
        options: backend, same_format, workers, progress, stop; see `merge_to_folder`.

    Raises:
        InvalidValue: no such part; other parts were told otherwise; or they are being joined.
        DppaError: see `merge_to_folder`.
    """
    if not 1 <= part <= parts:
        raise InvalidValue(f"--part: I of I/N must be from 1 to {parts}, got {part}/{parts}.")
    target, merger, threads = _opened(recipe, out, overwrite, options)
    every = shards_of(merger, shard_size)
    with parts_folder(merger, shard_size, target, shared=True) as folder:
        with _removed_if_refused(folder):
            claim(target, Terms.of(merger, folder, shard_size, parts))
        files = list(every)[part - 1 :: parts]
        written = _write_missing(merger, {f: every[f] for f in files}, folder, threads, options)
        now = sum(is_new for _, is_new in written.values())
        stale = _leftover_warnings(folder, target)
    return PartReport(now, len(files), len(every), str(folder), stale)


def join_parts(
    recipe: MergeRecipe,
    out: Path,
    *,
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
    sync: bool = True,
    **options: Any,
) -> MergeReport:
    """Make the folder of a merge from its parts, whose bytes are those of `merge_to_folder`.

    Every file is checked; one that is missing or damaged is written, and a warning says so. The
    parts are removed.

    Args:
        overwrite, shard_size, sync, options: See `merge_part`.

    Raises:
        InvalidValue: the parts were told otherwise, or one is still being written.
        DppaError: see `merge_to_folder`.
    """
    began = time.perf_counter()
    target, merger, threads = _opened(recipe, out, overwrite, options)
    tally, shards = MergeTally(merger.plan, merger.inputs.parents()), shards_of(merger, shard_size)
    with parts_folder(merger, shard_size, target) as parts:
        terms = earlier_terms(target)
        with _removed_if_refused(parts):
            if terms is not None:
                check_terms(target, Terms.of(merger, parts, shard_size), terms)
            check_parts(parts, target)
        written = _write_missing(merger, shards, parts, threads, options)
        files = {file: shard for file, (shard, _) in written.items()}
        for shard in files.values():
            count(tally, shard)
        fill = partial(gather, shards, files, parts)
        merge_report = finish(began, merger, tally, fill, out, overwrite=overwrite, sync=sync)
        release(target)
        shutil.rmtree(parts, ignore_errors=True)
        extra = *_missing(written, terms.parts if terms else 0), *_leftover_warnings(parts, target)
    return replace(merge_report, warnings=(*merge_report.warnings, *extra))


@contextmanager
def _removed_if_refused(folder: Path) -> Iterator[None]:
    """Remove a folder of parts that is empty when the block refuses them."""
    try:
        yield
    except InvalidValue:
        with suppress(OSError):  # it holds files
            folder.rmdir()
        raise


def _missing(written: Mapping[str, tuple[WrittenShard, bool]], parts: int) -> Iterator[str]:
    """What joining wrote itself, by part; their number is 0 if it is unknown."""
    news = [is_new for _, is_new in written.values()]
    if not parts and any(news):
        files = many(len(news), "weight file")
        yield f"{sum(news)} of {files} were missing or damaged: joining wrote them."
    for part in range(parts):
        own = news[part::parts]
        name, files = f"part {part + 1}/{parts}", many(len(own), "weight file")
        if own and all(own):
            yield f"{name} was missing: joining wrote its {files}."
        elif any(own):
            yield f"{name}: of its {files} {sum(own)} missing or damaged; joining wrote as many."


def _leftover_warnings(folder: Path, target: Path) -> tuple[str, ...]:
    return tuple(
        f"{other} holds weight files of another merge to {target}, by another recipe or other "
        "options: remove it if none is running."
        for other in leftovers(folder, target)
    )


def _opened(
    recipe: MergeRecipe, out: Path, overwrite: bool, options: dict[str, Any]
) -> tuple[Path, TensorMerger, int]:
    check_target(out, (), overwrite=overwrite)  # before the long part
    control = RunControl(progress=options.get("progress"), stop=options.get("stop"))
    threads = worker_count(options.get("workers"))
    how = {key: options[key] for key in ("backend", "same_format") if key in options}
    merger = open_merger(recipe, workers=threads, **how, **control)
    return check_target(out, merger.inputs.folders(), overwrite=overwrite), merger, threads


def _write_missing(
    merger: TensorMerger, shards: Shards, folder: Path, threads: int, options: dict[str, Any]
) -> dict[str, tuple[WrittenShard, bool]]:
    """Every weight file, and whether it was written now."""
    progress: Progress | None = options.get("progress")
    stop: Stop | None = options.get("stop")
    written: dict[str, tuple[WrittenShard, bool]] = {}
    for file, specs in shards.items():
        check(stop)
        known = read_shard(file, specs, folder)
        shard = known or write_shard(merger, file, specs, folder, workers=threads)
        written[file] = shard, known is None
        report(progress, len(written), len(shards), file)
    return written
