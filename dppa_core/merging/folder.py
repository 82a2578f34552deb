"""The folder of a merged checkpoint: checks before it replaces another, files beside weights."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.folders.sentence_files import is_module_folder, is_sentence_file
from dppa_core.checkpoints.folders.small_files import COMPANIONS, read_companion
from dppa_core.errors import InvalidValue, NotAllowed
from dppa_core.merging.cards.card import card_plots, model_card
from dppa_core.merging.cards.record import RECORD, MergeRecord, write_record
from dppa_core.merging.cards.sentence_companions import sentence_companions
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe
from dppa_core.system.atomic_folders import atomic_folder, unwritable

CONFIG, CARD, RECIPE = "config.json", "README.md", "recipe.yaml"
_WRITTEN = re.compile(
    r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json|density-\d+\.svg"
)

Entries = Iterable[os.DirEntry[str]]


def check_target(
    out: Path,
    sources: Iterable[Path],
    *,
    overwrite: bool,
    check_entries: Callable[[Path, Entries], None] | None = None,
) -> Path:
    """Refuse to replace a folder that is no merge, is in use, or may not be overwritten.

    Args:
        out: The requested folder. A link is followed, and stays.
        sources: Folders of the models to be merged.
        check_entries: Raises if the folder's entries may not be replaced; None for a merge's.

    Returns:
        The folder to write, its links resolved.

    Raises:
        InvalidValue: the folder exists already, or cannot be written.
        NotAllowed: it holds a source of this merge, or files that no merge writes.
    """
    target = Path(os.path.realpath(out))
    entries = _entries_of(out, target)
    _check_place(out, target)
    if not entries:
        return target
    if not overwrite:
        raise InvalidValue(
            f"{out}: already exists and is not empty. Choose another folder, or allow overwriting "
            "(--overwrite)."
        )
    for source in sources:
        if _holds(target, source):
            raise NotAllowed(
                f"{out}: holds {source}, one of the models to be merged, and is not overwritten."
            )
    (check_entries or _check_entries)(out, entries)
    return target


def _entries_of(out: Path, target: Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(target))
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        if not os.path.lexists(target):
            raise unwritable(out, error) from None
        raise InvalidValue(f"{out}: is a file. Name a folder that is to be made.") from None
    except OSError as error:
        raise unwritable(out, error) from error


@contextmanager
def new_folder(
    out: Path,
    sources: Iterable[Path],
    *,
    overwrite: bool,
    sync: bool,
    check_entries: Callable[[Path, Entries], None] | None = None,
) -> Iterator[Path]:
    """A folder that appears when the block succeeds; see `check_target` and `atomic_folder`.

    The folder that it replaces is checked before the block, and again after it.
    """

    def checked() -> Path:
        return check_target(out, sources, overwrite=overwrite, check_entries=check_entries)

    may_replace = checked if overwrite else None
    with atomic_folder(checked(), may_replace=may_replace, sync=sync) as folder:
        yield folder


def _check_place(out: Path, target: Path) -> None:
    """Refuse a folder that cannot be renamed to `target`, as far as known without trying."""
    if os.path.ismount(target):
        raise InvalidValue(f"{out}: is a mount point. Name a folder inside it.")
    if _is_inside(target):  # exchanged whole, it would vanish under its user
        raise InvalidValue(
            f"{out}: is the folder you are in, or holds it. Name one inside it, such as merged."
        )
    parent = next(folder for folder in target.parents if folder.exists())
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InvalidValue(f"{out}: {parent} cannot be written to. Choose another place.")


def _is_inside(folder: Path) -> bool:
    """Return True if this process's working folder is that folder or lies below it."""
    try:
        working = Path.cwd()
    except FileNotFoundError:  # it was removed
        return False
    return folder in (working, *working.parents)


def _holds(target: Path, source: Path) -> bool:
    """Return True if replacing `target` would remove files of `source`, even through links."""
    files = [source, *source.iterdir()] if source.is_dir() else [source]
    places = {folder for file in files for folder in (file.resolve(), *file.resolve().parents)}
    return any(place.exists() and place.samefile(target) for place in places)


def is_written(name: str) -> bool:
    """Return True if a merge writes files of that name, with the folder in it they are in."""
    kept = {CONFIG, CARD, RECIPE, RECORD, *COMPANIONS}
    return name in kept or is_sentence_file(name) or _WRITTEN.fullmatch(name) is not None


def merge_entries(folder: Path) -> list[Path]:
    """The entries of a folder, and in place of a module's folder in it those of that."""
    entries: list[Path] = []
    for path in sorted(folder.iterdir()):
        modules = is_module_folder(path.name) and path.is_dir() and not path.is_symlink()
        entries += sorted(path.iterdir()) if modules else [path]
    return entries


def refuse_entries(
    out: Path, entries: Entries, allowed: Callable[[os.DirEntry[str]], bool], kind: str
) -> None:
    """Raise NotAllowed for an entry that is not `allowed`; `kind` describes it."""
    for entry in sorted(entries, key=lambda entry: entry.name):
        if not allowed(entry):
            raise NotAllowed(
                f"{out}: holds {entry.name}, which {kind}, and is not overwritten. "
                "Move it away, or choose another folder."
            )


def _check_entries(out: Path, entries: Entries) -> None:
    refuse_entries(out, entries, _is_of_a_merge, "no merge writes")
    if CONFIG not in {entry.name for entry in entries}:
        raise NotAllowed(
            f"{out}: holds no {CONFIG}, so it is no checkpoint folder, and is not overwritten."
        )


def _is_of_a_merge(entry: os.DirEntry[str]) -> bool:
    if entry.is_dir(follow_symlinks=False) and is_module_folder(entry.name):
        return all(
            is_written(f"{entry.name}/{inner.name}") and inner.is_file(follow_symlinks=False)
            for inner in list(os.scandir(entry))
        )
    return is_written(entry.name) and entry.is_file(follow_symlinks=False)


def copy_companions(source: Path, target: Path) -> tuple[str, ...]:
    """Copy tokenizer, chat template, generation settings and what makes an encoder one of
    sentences, if there are any; returns warnings of what is left out.

    Raises:
        DamagedCheckpoint: a file cannot be read.
    """
    files = {n: read_companion(source / n) for n in COMPANIONS if (source / n).is_file()}
    sentences, warnings = sentence_companions([source], [str(source)])
    write_files(files | sentences, target)
    return warnings


def write_files(files: Mapping[str, bytes], target: Path) -> None:
    """Write files by their names, with the folders in these."""
    for name, content in files.items():
        (target / name).parent.mkdir(exist_ok=True)
        (target / name).write_bytes(content)


def write_config(config: Mapping[str, Any], dtype: str | None, target: Path) -> None:
    """Write config.json, with the dtype the weights have now; the one it names if unset."""
    key = "torch_dtype" if "torch_dtype" in config else "dtype"
    changed = {} if dtype is None else {key: dtype}
    text = json.dumps({**config, **changed}, indent=2, ensure_ascii=False)
    (target / CONFIG).write_text(text + "\n", "utf-8")


def write_provenance(recipe: MergeRecipe, record: MergeRecord, target: Path) -> None:
    """Write the recipe, the record, the model card and its plots."""
    (target / RECIPE).write_text(dump_recipe(recipe), "utf-8")
    write_record(record, target)
    write_card(recipe, record, target)


def write_card(recipe: MergeRecipe, record: MergeRecord, target: Path) -> None:
    """Write the model card and its plots."""
    (target / CARD).write_text(model_card(recipe, record), "utf-8")
    for file, text in card_plots(recipe, record).items():
        (target / file).write_text(text, "utf-8")
