"""Writes a checkpoint's weights in one file or in shards, named as in transformers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.formats import SAFETENSORS
from dppa_core.checkpoints.safetensors_writer import SafetensorsWriter, TensorSpec

SHARD_SIZE = 5 * 10**9
"""Default limit of the bytes of tensors in one file, as in transformers."""

METADATA = {"format": "pt"}
"""Metadata in the header of every weight file; transformers requires it."""


def assign_shards(specs: Iterable[TensorSpec], limit: int) -> dict[str, tuple[TensorSpec, ...]]:
    """The file of every tensor: tensors in order of layers, each file filled up to the limit.

    Args:
        specs: All tensors, in any order; the result does not depend on it.
        limit: Bytes of tensors in a file. A larger tensor gets a file of its own.

    Returns:
        File name -> its tensors; only `model.safetensors` if all of them fit into one file.
    """
    shards: list[list[TensorSpec]] = [[]]
    size = 0
    for spec in sorted(specs, key=lambda spec: _by_number(spec.name)):
        if shards[-1] and size + spec.nbytes > limit:
            shards.append([])
            size = 0
        shards[-1].append(spec)
        size += spec.nbytes
    if len(shards) == 1:
        return {SAFETENSORS.single: tuple(shards[0])}
    return {
        f"model-{number:05d}-of-{len(shards):05d}{SAFETENSORS.suffix}": tuple(shard)
        for number, shard in enumerate(shards, start=1)
    }


def _by_number(name: str) -> list[str | int]:
    """Sort key by number: layer 10 comes after layer 2."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+)", name))]


def write_index(folder: Path, shards: Mapping[str, tuple[TensorSpec, ...]]) -> None:
    """Write the index of tensors to files, if there are several files."""
    if len(shards) < 2:
        return
    total = sum(spec.nbytes for shard in shards.values() for spec in shard)
    places = {spec.name: file for file, shard in shards.items() for spec in shard}
    index = {"metadata": {"total_size": total}, "weight_map": places}
    text = json.dumps(index, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / SAFETENSORS.index).write_text(text + "\n", "utf-8")


class WeightsWriter:
    """The weight files of a folder, all allocated at full size; see `SafetensorsWriter`."""

    def __init__(self, folder: Path, specs: Iterable[TensorSpec], limit: int = SHARD_SIZE) -> None:
        self._folder = folder
        self._shards = assign_shards(specs, limit)
        self._writers = {
            file: SafetensorsWriter(folder / file, shard, METADATA)
            for file, shard in self._shards.items()
        }
        self._place = {name: file for file, w in self._writers.items() for name in w.names}
        self.names = tuple(self._place)
        """Names in file order; placing tensors in this order keeps one file open at a time."""

    def place(self, name: str, raw: Shaped[ndarray, " n"], start: int = 0) -> None:
        """Write a tensor or a slice of it; see `SafetensorsWriter.place`. Safe for many threads."""
        self._writers[self._place[name]].place(name, raw, start)

    def finish(self) -> dict[str, str]:
        """Close all files, which must be complete, and write the index if there are several.

        Returns:
            SHA-256 of every weight file, by its name.
        """
        hashes = {file: writer.finish() for file, writer in self._writers.items()}
        write_index(self._folder, self._shards)
        return hashes

    def digests(self) -> dict[str, str]:
        """SHA-256 of every tensor's elements as stored, after `finish`."""
        return {
            name: digest
            for writer in self._writers.values()
            for name, digest in writer.digests().items()
        }

    def close(self) -> None:
        """Close the files, complete or not."""
        for writer in self._writers.values():
            writer.close()


def one_hash(hashes: Mapping[str, str]) -> str:
    """One SHA-256 for all weights: the file's, or that of `sha256sum`'s lines for several files.

    `sha256sum model-*.safetensors | sha256sum` gives the same.
    """
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    lines = "".join(f"{sha256}  {file}\n" for file, sha256 in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
