"""The text of a mergekit recipe as keys and values: also out of Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dppa_core.errors import NoCounterpart
from dppa_core.recipes.plain_yaml import read_documents

_FENCED = re.compile(r"^ {0,3}(?:```|~~~)[^\n`]*\n(.*?)(?:^ {0,3}(?:```|~~~)|\Z)", re.M | re.S)
_PROGRAMS = {
    "experts": "mergekit-moe, which builds a mixture of experts of whole models; there is no such "
    "merge here",
    "genome": "mergekit-evolve, which searches for the numbers of a merge; here `dppa search` does",
    "layer_slices": "bakllama, which stacks layers; mergekit-yaml does so by `slices`",
}
"""Key that no recipe of mergekit-yaml has -> the program whose file has it."""

_KEY = re.compile(rf"^ *(?:merge_method|{'|'.join(_PROGRAMS)}) *:", re.M)


def is_mergekit(text: str) -> bool:
    """Return True if a text has keys of mergekit's files."""
    return _KEY.search(text) is not None


def read_recipes(text: str) -> tuple[list[Mapping[Any, Any]], list[str]]:
    """The recipes of a file of mergekit, and keys that are repeated in their mapping.

    If blocks of Markdown hold recipes, as in a model card, the rest is left out.

    Raises:
        InvalidRecipe: not YAML.
        NoCounterpart: a file for another program of mergekit.
    """
    if isinstance(text, str):
        fenced = list(filter(is_mergekit, _FENCED.findall(text)))
        text = "\n---\n".join(fenced) if fenced else text
    documents, repeated = read_documents(text)
    for document in documents:
        for key, program in _PROGRAMS.items():
            if key in document:
                raise NoCounterpart(f"The key {key!r} says that this file is for {program}.")
    return documents, repeated


def reference_of(value: Any) -> str | None:
    """A model of a recipe as text; None if it is none.

    mergekit also takes it as a mapping: {model: {path: NAME, revision: NAME}, lora: {path: NAME}}.
    """
    if isinstance(value, Mapping):
        model, adapter = _path(value.get("model")), _path(value.get("lora"))
        return model if adapter is None or model is None else f"{model}+{adapter}"
    return _path(value)


def _path(value: Any) -> str | None:
    if isinstance(value, Mapping):
        path, revision = value.get("path"), value.get("revision")
        value = f"{path}@{revision}" if path and revision else path
    return value.strip() if isinstance(value, str) and value.strip() else None
