"""Reads the files of a model's folder that hold no weights: config.json, tokenizer, template."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.folders.model_files import open_model_file
from dppa_core.checkpoints.folders.quantisation import why_gguf
from dppa_core.errors import (
    DamagedCheckpoint,
    IncompatibleCheckpoints,
    MissingCheckpoint,
    UnmergedStage,
    shown,
)
from dppa_core.system.strict_json import parse_json

CONFIGS = _CONFIG, _QUANTISED_APART = "config.json", "hf_quant_config.json"
COMPANIONS = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "bpe.codes",
    "spiece.model",
    "spm.model",
    "sentencepiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    "chat_template.json",
)
"""Files copied from the base to make a folder a working model. Never code."""

_VOCABULARIES = ("tokenizer.json", "vocab.json")
_BINARY = ".model"
_PIECES = re.compile(rb"\n|[A-Za-z0-9+/]+=* \d+\n")
"""First bytes of models of sentencepiece and of tiktoken."""
_UNKNOWN = {"[UNK]", "<unk>", "<UNK>"}
"""The token of unknown words, one of which a list of words without their counts has."""
_COUNTED = re.compile(r"[^ \t]+[ \t]\d+")
"""A line of a list of words with their counts, as PhoBERT's."""
_MERGED = re.compile(r"[^ ]* [^ ]*(?: \d+)?")
"""A pair of pieces that become one; XLM and FlauBERT write its count behind it."""

_MAX_BYTES = 64 * 1024 * 1024


def read_config(folder: Path) -> dict[str, Any]:
    """The values of a folder's config.json."""
    if not stat.S_ISDIR(file_mode(folder)):
        gguf = why_gguf([folder.name]) if file_mode(folder) else None
        if gguf is not None:
            reason = gguf.replace(f"holds {folder.name}", "a GGUF file", 1)
            raise IncompatibleCheckpoints(f"{folder}: {reason}")
        if folder.suffix.lower() in (".yaml", ".yml") and file_mode(folder):
            raise UnmergedStage(
                f"{folder}: a recipe, not a model. `dppa merge` merges it first, as a stage; "
                "elsewhere name the folder that it made."
            )
        raise MissingCheckpoint(
            f"{folder}: no such folder. A model is zoo:NAME, owner/name of the Hub, or a folder "
            "that holds config.json and weights; a typing error is the usual cause."
        )
    if not file_mode(folder / _CONFIG):
        gguf = why_gguf(file_names(folder))
        if gguf is not None:
            raise IncompatibleCheckpoints(f"{folder}: {gguf}")
        if file_mode(folder / "adapter_config.json"):
            raise MissingCheckpoint(
                f"{folder}: an adapter, which is no model by itself. Name it behind its base: "
                f"BASE+{folder}."
            )
        raise MissingCheckpoint(
            f"{folder}: no config.json, so this is not a checkpoint folder. "
            "Pointing at a parent folder, or at an adapter, is the usual cause."
        )
    config = read_object(folder / _CONFIG)
    apart = {} if "quantization_config" in config else _quantised_apart(folder)
    return {**config, "quantization_config": apart} if apart else config


def _quantised_apart(folder: Path) -> dict[str, Any]:
    """The quantisation that NVIDIA's Model Optimizer states in a file of its own."""
    if not file_mode(folder / _QUANTISED_APART):
        return {}
    stated = read_object(folder / _QUANTISED_APART).get("quantization")
    stated = stated if isinstance(stated, dict) else {}
    return {"quant_method": "modelopt", **stated} if stated.get("quant_algo") else {}


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a model's folder."""
    return _object(path, read_file(path))


def read_file(path: Path) -> bytes:
    """The content of a file of a model's folder that holds no weights.

    Raises:
        DamagedCheckpoint: not a regular file, too large, or not readable.
        NotAllowed: a link that leads out of the folder.
    """
    try:
        with open_model_file(path) as file:
            most = min(os.fstat(file.fileno()).st_size, _MAX_BYTES)
            data = file.read(most + 1)  # allocates this much before reading
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if len(data) > _MAX_BYTES:
        raise DamagedCheckpoint(
            f"{path}: larger than {_MAX_BYTES >> 20} MiB. Weights under a wrong name are the usual "
            "cause."
        )
    return data


def read_companion(path: Path) -> bytes:
    """The content of one of `COMPANIONS`, checked to be of its kind, to be written unchanged.

    Of vocabularies only the beginning is looked at: parsing a large one takes a second.
    """
    data = read_file(path)
    if path.suffix == ".json" and path.name not in _VOCABULARIES:
        _object(path, data)
    elif not _is_of_kind(path, data):
        raise DamagedCheckpoint(
            f"{path}: holds something else than its name says. A hard link to another file, or a "
            "file saved under a wrong name, is the usual cause."
        )
    return data


def _is_of_kind(path: Path, data: bytes) -> bool:
    """Return True if a file is what its name says; a hard link looks like the file itself."""
    if path.suffix == _BINARY:
        return _PIECES.match(data) is not None
    text = text_of(path, data).removeprefix("\ufeff")
    lines = [line for line in text.split("\n") if line.strip()]
    if path.suffix == ".jinja":
        return "messages" in text and ("{{" in text or "{%" in text)
    if path.name == "vocab.txt":  # a token a line, one of which stands for all unknown words
        single = not any(set(line) & {" ", "\t"} for line in lines) and bool(_UNKNOWN & {*lines})
        return single or all(map(_COUNTED.fullmatch, lines))
    if path.suffix in (".txt", ".codes"):
        return all(_MERGED.fullmatch(line) for line in lines if not line.startswith("#v"))
    return text.lstrip()[:1] == "{"


def known_sha256(path: Path) -> str:
    """The SHA-256 of such a file; empty if it cannot be read, NotAllowed for a link out."""
    try:
        return hashlib.sha256(read_file(path)).hexdigest()
    except DamagedCheckpoint:
        return ""


def text_of(path: Path, data: bytes) -> str:
    """The text of a file's content, with Python's line ends."""
    try:
        return io.TextIOWrapper(io.BytesIO(data), "utf-8").read()
    except ValueError as error:
        raise unreadable(path, error) from error


def _object(path: Path, data: bytes) -> dict[str, Any]:
    try:
        # Configurations use Python's Infinity, as Mamba's time_step_limit does.
        value = parse_json(data, constants=True)
    except ValueError as error:
        raise unreadable(path, error) from error
    if not isinstance(value, dict):
        raise DamagedCheckpoint(f"{path}: not a JSON object, but {shown(value)}.")
    return value


def file_names(folder: Path) -> list[str]:
    """Names of all files in a folder, sorted."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise unreadable(folder, error) from error


def file_mode(path: Path) -> int:
    """The mode of `stat`, or 0 if nothing exists."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError) as error:  # a loop of links, a name too long or with NUL
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError | ValueError) -> DamagedCheckpoint:
    """The error to raise if a file of a model cannot be read."""
    reason = getattr(error, "strerror", None) or error
    return DamagedCheckpoint(f"{path}: cannot be read ({reason}).")


def values_within(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """A value and every value in it, however deep, with the key that it or its list has."""
    stack = [(key, value)]
    while stack:
        key, inner = stack.pop()
        yield key, inner
        if isinstance(inner, Mapping):
            stack += inner.items()
        elif isinstance(inner, list):
            stack += ((key, part) for part in inner)
