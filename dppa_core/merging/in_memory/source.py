"""The folder that a merge in memory is loaded by: its base's, or one with the merge's own files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.aligned_checkpoint import AlignedCheckpoint
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.merging.folder import write_config
from dppa_core.merging.merger import TensorMerger
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
        for file, content in beside.files.items():
            (folder / file).write_bytes(content)
        yield _Elsewhere(merger.base, folder, beside.config)
