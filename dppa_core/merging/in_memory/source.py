"""The tensors and files that a model in memory is built from, and its size there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from math import prod
from pathlib import Path
from typing import Any, Unpack

import torch

from dppa_core.checkpoints.aligned_checkpoint import AlignedCheckpoint
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.merging.folder import write_config, write_files
from dppa_core.merging.in_memory.rewrite import Tensors
from dppa_core.merging.merger import TensorMerger
from dppa_core.preflight_checks.estimate import FLOAT32_LIMIT
from dppa_core.progress import RunControl, check, report
from dppa_core.system.temporary import TemporaryFolder


class _Elsewhere(AlignedCheckpoint):
    """A checkpoint with the configuration and tokenizer of another folder."""

    def __init__(self, inner: Checkpoint, folder: Path, config: Mapping[str, Any]) -> None:
        super().__init__(inner, {}, "")
        self.folder, self.config = folder, config


@contextmanager
def source_of(merger: TensorMerger) -> Iterator[Checkpoint]:
    """The merge's base, with the merge's configuration and tokenizer while the block runs."""
    beside = merger.inputs.companions()
    if not beside.changed:
        yield merger.base
        return
    with closing(TemporaryFolder("model")) as scratch:
        folder = scratch.path
        write_config(beside.config, merger.recipe.dtype, folder)
        write_files(beside.files, folder)
        yield _Elsewhere(merger.base, folder, beside.config)


def tensors_of(checkpoint: Checkpoint) -> Tensors:
    """All tensors of a checkpoint as they are stored; nothing is read yet."""
    return {
        name: (checkpoint.dtype(name), checkpoint.shape(name), checkpoint.raw(name))
        for name in checkpoint.names()
    }


def merged_tensors(merger: TensorMerger, **control: Unpack[RunControl]) -> Tensors:
    """All tensors of a merge."""
    names, tensors = merger.names(), {}
    for count, name in enumerate(names, 1):
        check(control.get("stop"))
        tensors[name] = merger.tensor(name)
        report(control.get("progress"), count, len(names), "merge")
    return tensors


def memory_of(checkpoint: Checkpoint) -> tuple[int, torch.dtype]:
    """Bytes of a model in memory, and the dtype of its parameters there."""
    numel = sum(prod(checkpoint.shape(name)) for name in checkpoint.names())
    dtype = torch.float32 if numel <= FLOAT32_LIMIT else torch.bfloat16
    return numel * dtype.itemsize, dtype
