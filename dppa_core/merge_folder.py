"""A checkpoint folder that appears whole or not at all.

Knows files, not weights: what lies beside the weights is copied from the base.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dppa_core.errors import InvalidValue, NotAllowed

COMPANIONS = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
"""Files of the base that make a folder a working model. Never code."""


def check_target(out: Path, sources: tuple[Path, ...], *, overwrite: bool) -> None:
    """Refuse to write over what is not a checkpoint, is in use, or was not to be overwritten.

    Raises:
        InvalidValue: something is there already.
        NotAllowed: it is a source of this merge, or no checkpoint folder.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise InvalidValue(
            f"{out}: already exists and is not empty. Choose another folder, or allow overwriting "
            "(--overwrite)."
        )
    if any(out.resolve() == source.resolve() for source in sources):
        raise NotAllowed(f"{out}: is one of the models to be merged, and is not overwritten.")
    if not (out / "config.json").is_file():
        raise NotAllowed(
            f"{out}: holds no config.json, so it is no checkpoint folder, and is not overwritten."
        )


@contextmanager
def atomic_folder(out: Path) -> Iterator[Path]:
    """A new folder beside `out` that takes its place when all went well, and vanishes if not."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    except OSError as error:
        raise InvalidValue(f"{out}: cannot be written ({error.strerror or error}).") from error
    try:
        yield fresh
        fresh.chmod(0o755)
        _replace(fresh, out)
    except OSError as error:
        raise InvalidValue(
            f"{out}: writing failed ({error.strerror or error}). A full disk is the usual cause."
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # gone already when it took its place


def _replace(fresh: Path, out: Path) -> None:
    if not out.exists():
        os.replace(fresh, out)
        return
    old = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-old-"))
    os.replace(out, old)  # onto an empty folder: both names stay on one file system
    try:
        os.replace(fresh, out)
    except OSError:
        os.replace(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def copy_companions(source: Path, target: Path) -> None:
    """Copy tokenizer, chat template and generation settings, where there are any."""
    for name in COMPANIONS:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def write_config(config: dict[str, Any], dtype: str, target: Path) -> None:
    """Write the base's config.json, with the dtype the merged weights have."""
    key = "torch_dtype" if "torch_dtype" in config else "dtype"
    text = json.dumps({**config, key: dtype}, indent=2, ensure_ascii=False)
    (target / "config.json").write_text(text + "\n", "utf-8")
