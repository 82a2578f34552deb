"""Checks that a folder is a merge, complete and unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.fingerprints import fingerprints
from dppa_core.checkpoints.folders.model_files import model_file
from dppa_core.errors import DamagedCheckpoint, MissingCheckpoint
from dppa_core.merging.cards.record import RECORD, MergeRecord, read_record
from dppa_core.merging.folder import CARD, CONFIG, RECIPE
from dppa_core.recipes.yaml_text import MergeRecipe, load_recipe


@dataclass(frozen=True, slots=True)
class MergeFolder:
    """Recipe and record of a merged folder."""

    folder: Path
    recipe: MergeRecipe
    record: MergeRecord


def read_merge(folder: Path) -> MergeFolder:
    """Recipe and record of a merged folder; its weights are not read.

    Raises:
        MissingCheckpoint: the folder is missing, or without them.
        InvalidRecipe, DamagedCheckpoint: they cannot be read.
        NotAllowed: a link leads out of the folder.
    """
    if not folder.is_dir():
        raise MissingCheckpoint(
            f"{folder}: no such folder. Name a folder that `dppa merge --out` made; a typing "
            "error is the usual cause."
        )
    if not (folder / RECIPE).exists() and not (folder / RECORD).exists():
        raise MissingCheckpoint(
            f"{folder}: neither {RECIPE} nor {RECORD}, so it is no merge of this tool. A plain "
            "model, or a merge by another tool, is the usual cause; name what `dppa merge --out` "
            "made."
        )
    for name in (RECIPE, RECORD):
        if not (folder / name).is_file():
            raise MissingCheckpoint(
                f"{folder}: no {name}, so it is no folder that `dppa merge` made, or one by an "
                "older version. Merge again."
            )
    return MergeFolder(folder, load_recipe(model_file(folder / RECIPE)), read_record(folder))


def check_merge(folder: Path) -> MergeFolder:
    """As `read_merge`, after checking every file and the recorded hash of every tensor.

    Raises:
        MissingCheckpoint: a file is missing.
        DamagedCheckpoint: a tensor or a file differs from what was written.
    """
    merge = read_merge(folder)
    for name in (CONFIG, CARD, *merge.record.files):
        if not (folder / name).is_file():
            raise MissingCheckpoint(
                f"{folder}: {name} is missing. A copy that broke off is the usual cause; merge "
                "again."
            )
    checkpoint = SafetensorsCheckpoint(folder)
    names = {path.name for path in checkpoint.identities()}
    if names != set(merge.record.files):
        odd = min(names.symmetric_difference(merge.record.files))
        raise DamagedCheckpoint(
            f"{folder}: its weights lie in other files than were written ({odd}). Files of two "
            "merges in one folder are the usual cause; merge again."
        )
    written = {tensor.name: tensor for tensor in merge.record.tensors}
    present = {tensor.name: tensor for tensor in fingerprints(checkpoint)}
    for name in sorted(written.keys() | present.keys()):
        if written.get(name) != present.get(name):
            raise DamagedCheckpoint(
                f"{folder}: {name} is not the tensor that was written, as {RECORD} has it. Weights "
                "that were changed afterwards, or a damaged copy, are the usual cause; merge again."
            )
    return merge
