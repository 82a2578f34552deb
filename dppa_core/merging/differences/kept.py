"""Writes what a store keeps of a model's delta into a file: on its base, the model it keeps."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from dppa_core.checkpoints.adapters.kept import KeptCheckpoint
from dppa_core.checkpoints.adapters.kept_pack import KeptHeader, pack_entries
from dppa_core.checkpoints.safetensors_writer import SafetensorsWriter, TensorSpec
from dppa_core.progress import RunControl, check, report
from dppa_core.system.threads import side_by_side

T = TypeVar("T")


def write_kept_pack(
    kept: KeptCheckpoint, header: KeptHeader, path: Path, workers: int, control: RunControl
) -> str:
    """Write the file; returns its SHA-256.

    Codes are made twice, to measure and to write, unless they fit into the cache of `kept`: memory
    does not grow with the model.
    """

    def measure(name: str) -> list[TensorSpec]:
        entries = pack_entries(kept, name).items()
        return [TensorSpec(stored, dtype, raw.shape) for stored, (dtype, raw) in entries]

    specs = _each(measure, kept, workers, "measure ", control)
    with closing(
        SafetensorsWriter(path, [spec for found in specs for spec in found], header.metadata())
    ) as writer:

        def write(name: str) -> None:
            for stored, (_, raw) in pack_entries(kept, name).items():
                writer.place(stored, raw.ravel())

        _each(write, kept, workers, "pack ", control)
        return writer.finish()


def _each(
    work: Callable[[str], T], kept: KeptCheckpoint, workers: int, verb: str, control: RunControl
) -> list[T]:
    names, results = kept.names(), list[T]()
    for name, result in zip(
        names, side_by_side([partial(work, name) for name in names], workers), strict=True
    ):
        check(control.get("stop"))
        report(control.get("progress"), len(results), len(names), verb + name)
        results.append(result)
    return results
