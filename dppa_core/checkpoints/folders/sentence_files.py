"""The files that make an encoder one of sentences: pooling and what follows, prompts, lengths.

sentence-transformers lists the modules in modules.json. The encoder lies beside it, or in older
releases in a folder, as 0_Transformer; each other module has a folder, as 1_Pooling, of a
configuration and perhaps weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.folders.model_files import within_roots
from dppa_core.checkpoints.folders.small_files import file_mode, read_file, unreadable
from dppa_core.errors import DamagedCheckpoint, DppaError, NotAllowed, shown
from dppa_core.system.strict_json import parse_json

MODULES = "modules.json"
PROMPTS = "config_sentence_transformers.json"
CONFIG, WEIGHTS, OLD_WEIGHTS = "config.json", "model.safetensors", "pytorch_model.bin"
"""Files of a module's folder; the last is written as the one before."""
_KINDS = "bert roberta distilbert camembert albert xlm-roberta xlnet".split()
BESIDE = (MODULES, PROMPTS, *(f"sentence_{kind}_config.json" for kind in _KINDS))
"""Files beside the encoder."""
SENTENCE_SIMILARITY = "sentence-similarity"
"""The Hub's tag of such a model."""
_PACKAGE = "sentence_transformers."
_FOLDER = re.compile(r"\d{1,2}_[A-Za-z]\w{0,63}")
_INSIDE = (CONFIG, WEIGHTS, OLD_WEIGHTS)


def library_name(pipeline: str) -> str:
    """The library that loads a model with a pipeline tag of the Hub."""
    return "sentence-transformers" if pipeline == SENTENCE_SIMILARITY else "transformers"


def is_module_folder(name: str) -> bool:
    """Return True if a folder of that name may hold a module."""
    return _FOLDER.fullmatch(name) is not None


def is_sentence_file(name: str) -> bool:
    """Return True if a merge writes a file of that name, with the folder it is in."""
    folder, slash, file = name.rpartition("/")
    return is_module_folder(folder) and file in (CONFIG, WEIGHTS) if slash else name in BESIDE


def sentence_names(names: Collection[str]) -> list[str]:
    """The files of this kind among a model's files, named with their folders; of weights in both
    formats one."""
    if MODULES not in names:
        return []
    chosen = []
    for name in sorted(names):
        folder, _, file = name.rpartition("/")
        in_safetensors = file == OLD_WEIGHTS and f"{folder}/{WEIGHTS}" in names
        if name in BESIDE or (is_module_folder(folder) and file in _INSIDE and not in_safetensors):
            chosen.append(name)
    return chosen


def listed_encoder(names: Collection[str]) -> str:
    """The first module's folder among a model's files, if it may hold the encoder; else empty."""
    folders = sorted(name.rpartition("/")[0] for name in names if name.endswith(f"/{CONFIG}"))
    return next((n for n in folders if MODULES in names and n.startswith("0_")), "")


def names_within(folder: Path) -> list[str]:
    """The files of this kind in a folder."""
    try:
        inner = [p for p in folder.iterdir() if is_module_folder(p.name) and not p.is_symlink()]
        paths = [*(folder / name for name in BESIDE), *(p / n for p in inner for n in _INSIDE)]
        return sentence_names([p.relative_to(folder).as_posix() for p in paths if p.is_file()])
    except OSError as error:
        raise unreadable(folder, error) from error


def encoder_folder(folder: Path) -> Path:
    """The folder of a model's encoder: the folder itself, or the one in it that modules.json lists
    first."""
    try:
        name = str(_rows(folder / MODULES)[0]["path"]) if file_mode(folder / MODULES) else ""
        inner = folder / name if is_module_folder(name) else folder
        return inner if file_mode(inner / CONFIG) and not inner.is_symlink() else folder
    except DppaError:  # told where the files are needed
        return folder


def local_encoder(folder: Path) -> Path:
    """The `encoder_folder` of a folder; raises NotAllowed if either lies outside the roots."""
    return within_roots(encoder_folder(within_roots(folder)))


def sentence_home(folder: Path) -> Path:
    """Where modules.json and the modules of an encoder lie: its folder, or the one above if that
    lists it first and may be read."""
    if not is_module_folder(folder.name) or (folder / MODULES).is_file():
        return folder
    try:
        above = within_roots(folder.parent)
    except NotAllowed:
        return folder
    return above if encoder_folder(above) == folder else folder


def module_folders(folder: Path) -> tuple[str, ...]:
    """The folders of the modules behind the encoder, as modules.json lists them.

    Args:
        folder: See `sentence_home`.

    Raises:
        DamagedCheckpoint: it is no such list.
        NotAllowed: a module is not of sentence-transformers, so it needs code of the model.
    """
    path = folder / MODULES
    rows = _rows(path)
    for row in rows:
        if not str(row["type"]).startswith(_PACKAGE):
            raise NotAllowed(f"{path}: {shown(row['type'])} is code of the model, never run here.")
    encoder, *others = (row["path"] for row in rows)
    beside = encoder == "" or encoder_folder(folder) != folder
    if not beside or not all(isinstance(p, str) and is_module_folder(p) for p in others):
        raise NotAllowed(
            f"{path}: its modules do not lie in folders as 1_Pooling beside the encoder, but in "
            f"{', '.join(shown(row['path']) for row in rows)}."
        )
    return tuple(others)


def _rows(path: Path) -> list[Mapping[str, Any]]:
    """The modules that a modules.json lists, one or more."""
    try:
        values = parse_json(read_file(path))
    except ValueError as error:
        raise unreadable(path, error) from error
    rows = values if isinstance(values, list) else []
    if not rows or not all(isinstance(r, Mapping) and {"path", "type"} <= r.keys() for r in rows):
        raise DamagedCheckpoint(f"{path}: not a list of modules, but {shown(values)}.")
    return rows


def same_settings(name: str, first: bytes, second: bytes) -> bool:
    """Return True if two checked files mean the same, whatever version wrote them."""
    if not name.endswith(".json"):
        return first == second
    values: list[Any] = [json.loads(content) for content in (first, second)]
    if name == MODULES:  # packages of the library were renamed; classes were not
        kinds = [[(row["path"], row["type"].split(".")[-1]) for row in rows] for rows in values]
        return kinds[0] == kinds[1]
    shared = values[0].keys() & values[1].keys() - {"__version__"}
    return all(values[0][key] == values[1][key] for key in shared)
