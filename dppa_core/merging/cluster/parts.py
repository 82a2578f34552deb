"""A merge's weight files, written one by one by any process, and kept until all are complete.

A part appears complete, with a record beside it; a part with a wrong record or hash is rewritten.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dppa_core.checkpoints.fingerprints import written_fingerprints
from dppa_core.checkpoints.low_bit.writer import Losses
from dppa_core.checkpoints.safetensors_writer import SafetensorsWriter, TensorSpec
from dppa_core.checkpoints.shard_writer import METADATA, assign_shards, write_index
from dppa_core.errors import InvalidValue
from dppa_core.merging.merger import TensorMerger
from dppa_core.merging.tally import MergeTally
from dppa_core.merging.to_folder import Weights, fill_files, stored_specs
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.system.atomic_folders import replace_file, sync_paths
from dppa_core.system.locks import lock_folder

Shards = Mapping[str, tuple[TensorSpec, ...]]
"""File name -> its tensors."""


@dataclass(frozen=True, slots=True)
class WrittenShard:
    """A complete weight file, and what the merge did in it."""

    file: str
    sha256: str
    digests: dict[str, str]
    """SHA-256 of every tensor's elements."""
    kept: dict[str, tuple[int, ...]]
    """Tensor of a module -> elements kept of each domain model's delta."""
    changed: bool
    """True if any element differs from the base."""
    losses: Losses = field(default_factory=dict)
    """Of the tensors that were rounded to few bits."""


def shards_of(merger: TensorMerger, shard_size: int) -> dict[str, tuple[TensorSpec, ...]]:
    """The weight files of a merge, as `merge_to_folder` writes them."""
    return assign_shards(stored_specs(merger), shard_size)


def write_shard(
    merger: TensorMerger,
    file: str,
    specs: tuple[TensorSpec, ...],
    folder: Path,
    *,
    workers: int = 1,
) -> WrittenShard:
    """Merge and write the tensors of one weight file; it is on the disk on return.

    Args:
        folder: Its place. Another process may write the same file at the same time: both write
            the same bytes, under a name of their own until they are complete.
    """
    tally, path = MergeTally(merger.plan, ()), folder / f".{file}.{secrets.token_hex(8)}"
    try:
        with closing(SafetensorsWriter(path, specs, METADATA)) as writer:
            fill_files(merger, writer, tally, workers)
            sha256, digests = writer.finish(), writer.digests()
        with suppress(OSError):  # not every file system can
            sync_paths(path)
        path.rename(folder / file)
    finally:
        path.unlink(missing_ok=True)
    written = WrittenShard(file, sha256, digests, tally.kept, tally.changed, tally.losses)
    replace_file(_record_of(folder, file), json.dumps(asdict(written)))
    return written


def read_shard(file: str, specs: tuple[TensorSpec, ...], folder: Path) -> WrittenShard | None:
    """The record of a file written before; None if it has to be written again. Reads it once."""
    try:
        values = json.loads(_record_of(folder, file).read_text("utf-8"))
        for key in ("kept", "losses"):
            values[key] = {name: tuple(numbers) for name, numbers in values[key].items()}
        shard = WrittenShard(**values)
        with (folder / file).open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    complete = shard.file == file and set(shard.digests) == {spec.name for spec in specs}
    complete &= all(len(squares) == 3 for squares in shard.losses.values())
    return shard if complete and shard.sha256 == sha256 else None


@contextmanager
def parts_folder(
    merger: TensorMerger, shard_size: int, target: Path, *, shared: bool = False
) -> Iterator[Path]:
    """The folder of a merge's parts until it is complete: beside its target, one merge at a time.

    A merge of the same models by the same recipe to the same target finds what was written
    before. Nothing is removed here.

    Args:
        shared: Several processes may each write some parts; none of them completes the merge.

    Raises:
        InvalidValue: another process is writing there.
    """
    weights = [model.content_hash() for model in (merger.base, *merger.inputs.tuned)]
    settings = (recipe_hash(merger.recipe), str(shard_size), *(["same"] if merger.target else []))
    key = "\0".join((*settings, *weights))
    name = f"{start_of(target)}-{hashlib.sha256(key.encode()).hexdigest()}"
    folder, lock = target.with_name(name), None
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = lock_folder(folder, shared=shared)
    except BlockingIOError:
        raise InvalidValue(
            f"{target}: another process writes this very merge, in {folder}. Wait for it, or "
            "choose another folder."
        ) from None
    except OSError:  # a file system without locks
        lock = None
    try:
        yield folder
    finally:
        if lock is not None:
            os.close(lock)


def start_of(target: Path) -> str:
    """How the names of all that waits beside a merge's folder begin."""
    start = os.fsencode(target.name)[:100].decode("utf-8", "ignore")  # a name has 255 bytes
    return f".{start}.dppa-parts"


def leftovers(folder: Path, target: Path) -> tuple[Path, ...]:
    """Folders with weight files of other merges to the same target."""
    beside = sorted(target.parent.glob(f"{glob.escape(start_of(target))}-*"))
    return tuple(other for other in beside if other != folder and any(other.glob("*.safetensors")))


def check_parts(folder: Path, target: Path) -> None:
    """Refuse to begin a merge anew beside parts of another to the same target.

    Raises:
        InvalidValue: the folder of parts is empty, and there is another that is not. The empty one
            is removed.
    """
    others = leftovers(folder, target)
    if others and not any(folder.iterdir()):
        folder.rmdir()
        raise InvalidValue(
            f"{target}: no part of this merge is there, but parts of another, in {others[0]}. "
            "Another recipe, --shard-size or --format is the usual cause: give those of the parts, "
            "or remove that folder."
        )


def count(tally: MergeTally, shard: WrittenShard) -> None:
    """Add to a tally what the merge did in a weight file."""
    tally.changed = tally.changed or shard.changed
    tally.losses |= shard.losses
    for name, kept in shard.kept.items():
        tally.keep(name, kept)


def gather(
    shards: Shards, written: Mapping[str, WrittenShard], parts: Path, folder: Path
) -> Weights:
    """Put complete parts into a merge's folder, with their index; they stay in `parts` as well."""
    for file in shards:
        try:
            os.link(parts / file, folder / file)
        except OSError:  # a file system without hard links
            (parts / file).rename(folder / file)
    write_index(folder, shards)
    specs = [spec for shard in shards.values() for spec in shard]
    digests = {name: sha for shard in written.values() for name, sha in shard.digests.items()}
    hashes = {file: written[file].sha256 for file in shards}
    return hashes, written_fingerprints(specs, digests)


def _record_of(folder: Path, file: str) -> Path:
    return folder / f"{file}.json"
