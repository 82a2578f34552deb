"""Names of a model's tensors, which gradients and filters of mergekit's recipes need."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from dppa_core.checkpoints.checkpoint import FolderCheckpoint
from dppa_core.checkpoints.config_sizes import configured_layers
from dppa_core.checkpoints.folders.model_files import within_roots
from dppa_core.checkpoints.folders.small_files import read_config
from dppa_core.checkpoints.sources.download import fetch_files
from dppa_core.checkpoints.sources.hub import cached_folder, is_commit, look_up, resolve
from dppa_core.checkpoints.sources.open import (
    ModelRef,
    asks_hub,
    needs_download,
    open_checkpoint,
)
from dppa_core.errors import CheckpointError, DppaError
from dppa_core.recipes.mergekit.values import llama_names


def local_names(reference: str) -> tuple[str, ...]:
    """Names of a model's tensors; those of a Llama if only its config.json is on this disk.

    Fetches nothing; empty if the model is not here.
    """
    try:
        whole = ModelRef.parse(reference)
        if whole.source == "stack":
            if needs_download(whole) or asks_hub(whole):
                return llama_names(sum(stop - start for _, start, stop in whole.slices))
            return open_checkpoint(reference).names()
        model = ModelRef.parse(whole.parts()[0])  # below its adapters
        if model.source == "zoo":
            return () if needs_download(model) else open_checkpoint(str(model)).names()
        if model.source == "local":
            return _names_in(within_roots(Path(model.location).expanduser()))
        folder = cached_folder(model.location, model.revision)
        return () if folder is None else _names_in(folder)
    except (DppaError, RuntimeError):  # RuntimeError: the home folder of an unknown user
        return ()


def fetched_names(reference: str) -> tuple[str, ...]:
    """As `local_names`; of a model of the Hub its config.json is fetched, if the Hub answers."""
    with suppress(DppaError):
        model = ModelRef.parse(ModelRef.parse(reference).parts()[0])
        if model.source == "hub" and is_commit(model.revision):
            fetch_files(look_up(model.location, model.revision), ["config.json"])
        elif model.source == "hub":
            resolve(model.location, model.revision)
    return local_names(reference)


def _names_in(folder: Path) -> tuple[str, ...]:
    try:
        return FolderCheckpoint(folder).names()
    except CheckpointError:
        return llama_names(configured_layers(read_config(folder)))
