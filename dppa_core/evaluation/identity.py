"""Keys of cached answers: everything the answers of a model or a merge depend on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.metadata import version

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.folders.small_files import COMPANIONS, known_sha256
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation.scores import Target, references_of, target_name
from dppa_core.merging.in_memory.source import memory_of
from dppa_core.models.devices import expected_place
from dppa_core.models.drafted_answers import MAX_REPLY_TOKENS
from dppa_core.profiling.calibration.texts import read_source
from dppa_core.recipes.yaml_text import MergeRecipe

_FORMAT = 1  # change it when the same models would get other marks


def usual_place(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The devices on which a model, or a merge on this base, will compute; see `place_of`."""
    return expected_place(*memory_of(checkpoint))


def identity(
    target: Target,
    place: Callable[[Checkpoint], Sequence[str]] = usual_place,
    *,
    public: bool = False,
) -> str:
    """A text that changes with the weights, tokenizers, calibration texts and library versions.

    Args:
        place: Model, or base of a merge -> its `place_of`, which changes the text on a GPU.
    """
    texts: list[str] = []
    if isinstance(target, MergeRecipe) and target.calibrated:
        texts = [read_source(target.calibration_of(model)).digest for model in target.models]
    checkpoints = [open_checkpoint(name, public=public) for name in references_of(target)]
    programs = [f"{package} {version(package)}" for package in ("torch", "transformers")]
    parts = [_FORMAT, MAX_REPLY_TOKENS, programs, target_name(target), texts]
    return json.dumps([*parts, *map(_contents, checkpoints), *place(checkpoints[0])])


def _contents(checkpoint: Checkpoint) -> list[str]:
    """Hashes of all files a model is loaded from."""
    files = [folder / name for folder in checkpoint.folders for name in COMPANIONS]
    config = json.dumps(checkpoint.config, sort_keys=True, default=str)
    return [checkpoint.content_hash(), config, *(known_sha256(path) for path in files)]
