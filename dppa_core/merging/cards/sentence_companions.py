"""What makes merged weights an encoder of sentences, read from the models: files and warnings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from dppa_core.checkpoints.folders.sentence_files import (
    BESIDE,
    MODULES,
    OLD_WEIGHTS,
    WEIGHTS,
    module_folders,
    names_within,
    same_settings,
    sentence_home,
)
from dppa_core.checkpoints.folders.small_files import read_companion, read_file
from dppa_core.checkpoints.formats import weight_files
from dppa_core.checkpoints.safetensors_writer import SafetensorsWriter, TensorSpec
from dppa_core.errors import NotAllowed
from dppa_core.system.temporary import TemporaryFolder


def sentence_companions(
    folders: Sequence[Path], names: Sequence[str]
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Files of the base, or of the first model that has some where the base has none; and warnings
    of models that have others.

    Args:
        folders: Of the base, then of the domain models.
        names: Their references.

    Raises:
        DamagedCheckpoint: a file cannot be read.
    """
    homes = map(sentence_home, folders)
    holders = [n for n, home in enumerate(homes) if (home / MODULES).is_file()]
    if not holders:
        return {}, ()
    owner, *others = holders
    try:
        files = read_sentence_files(folders[owner])
    except NotAllowed as error:
        return {}, (f"The files of sentence-transformers are left out: {error}",)
    warnings = (
        [] if owner == 0 else [f"Pooling and prompts are of {names[owner]}: the base has none."]
    )
    for other in others:
        warnings += (
            f"{name} of {names[other]} differs; the merge takes that of {names[owner]}."
            for name in _differing(files, folders[other])
        )
    return files, tuple(warnings)


def read_sentence_files(folder: Path) -> dict[str, bytes]:
    """Name -> content of the files that modules.json lists and those beside it; empty without it.
    Weights are written as safetensors anew, from whatever format they are read. An encoder in a
    folder of its own is listed beside modules.json, where a merge writes it.

    Args:
        folder: Of the encoder.

    Raises:
        DamagedCheckpoint: a file cannot be read.
        NotAllowed: see `module_folders`.
    """
    home = sentence_home(folder)
    if not (home / MODULES).is_file():
        return {}
    modules = module_folders(home)
    files = {n: read_companion(folder / n) for n in BESIDE[1:] if (folder / n).is_file()}
    for name in names_within(home):
        inside, _, file = name.rpartition("/")
        if inside and inside not in modules:
            continue
        if file in (WEIGHTS, OLD_WEIGHTS):
            files[f"{inside}/{WEIGHTS}"] = _weights(home / inside)
        else:
            files[name] = (read_file if name == MODULES else read_companion)(home / name)
    if home != folder:
        encoder, *others = json.loads(files[MODULES])
        rows = [{**encoder, "path": ""}, *others]
        files[MODULES] = json.dumps(rows, indent=2).encode()
    return files


def _weights(folder: Path) -> bytes:
    """The tensors of a module, as a safetensors file."""
    files = weight_files(folder)
    opened = [files.format.open(path) for path in files.paths]
    tensors = {name: file for file in opened for name in file.tensors}
    infos = {name: file.tensors[name] for name, file in tensors.items()}
    specs = [TensorSpec(name, info.dtype, info.shape) for name, info in infos.items()]
    with closing(TemporaryFolder("model")) as scratch:
        path = scratch.path / WEIGHTS
        with closing(SafetensorsWriter(path, specs, {"format": "pt"})) as writer:
            for name, file in tensors.items():
                writer.place(name, file.raw(name))
        return path.read_bytes()


def _differing(files: dict[str, bytes], folder: Path) -> list[str]:
    """Names of the files that say something else in another folder; of modules without settings
    only some versions write one."""
    try:
        theirs = read_sentence_files(folder)
    except NotAllowed:
        return [MODULES]
    shared = sorted(files.keys() & theirs.keys())
    return [name for name in shared if not same_settings(name, files[name], theirs[name])]
