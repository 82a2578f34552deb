"""The files a merged model is loaded with: the base's own, or those of another vocabulary.

Knows folders, not what transformers makes of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.aligned_checkpoint import AlignedCheckpoint
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.merging.folder import write_config
from dppa_core.merging.merger import TensorMerger
from dppa_core.system.temporary import Scratch


class _Elsewhere(AlignedCheckpoint):
    """A checkpoint whose configuration and tokenizer lie in another folder."""

    def __init__(self, inner: Checkpoint, folder: Path, config: Mapping[str, Any]) -> None:
        super().__init__(inner, {}, "")
        self._folder, self._config = folder, config

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def config(self) -> Mapping[str, Any]:
        return self._config


@contextmanager
def source_of(merger: TensorMerger) -> Iterator[Checkpoint]:
    """The merge's base, with the merge's configuration and tokenizer while the block runs."""
    beside = merger.inputs.companions()
    if not beside.changed:
        yield merger.base
        return
    with closing(Scratch("model")) as scratch:
        folder = scratch.path
        write_config(beside.config, merger.recipe.dtype, folder)
        for file, content in beside.files.items():
            (folder / file).write_bytes(content)
        yield _Elsewhere(merger.base, folder, beside.config)
