"""Origin and licence of a merge's parents, for the model card.

Reads folders, the front matter of their README.md, and headers of packs, but no weights.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

import yaml

from dppa_core.checkpoints.adapters.kept_pack import is_kept_pack, read_kept_header
from dppa_core.checkpoints.adapters.packs import SUFFIX, read_pack_header
from dppa_core.checkpoints.folders.model_files import open_model_file
from dppa_core.checkpoints.folders.sentence_files import sentence_home
from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.recipes.yaml_text import parse_recipe

_MAX_LINES = 2000  # lines of front matter; the Hub's largest have a few hundred
_MAX_BYTES = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Parent:
    """One model that went into a merge."""

    reference: str
    """As the recipe names it."""
    licence: str | None
    """Hub identifier in its README.md; "other (NAME)" for one of its own."""
    made_of: tuple[str, ...] = ()
    """References of the models that a delta pack was made from."""


def parent_of(reference: str, folder: Path) -> Parent:
    """Licence and origin of a model, from its folder or delta pack.

    A README.md that is missing or damaged is no error; it then states nothing.
    """
    if folder.suffix == SUFFIX and folder.is_file():
        file = open_file(folder, named=True)
        if is_kept_pack(file):
            kept = read_kept_header(file)
            return Parent(reference, kept.licence or None, (kept.model,))
        header = read_pack_header(file)
        models = tuple(model.model for model in parse_recipe(header.recipe).models)
        return Parent(reference, header.licence or None, models)
    return Parent(
        reference, licence_in(front_matter(sentence_home(folder) / "README.md"), reference)
    )


def licence_in(front: Mapping[str, object], reference: str) -> str | None:
    """The licence stated in the front matter of a card; None if it states none.

    The model's reference distinguishes one "other" licence from another.
    """
    licence = front.get("license")
    if not isinstance(licence, str) or not licence.strip():
        return None
    if licence == "other":  # two of these may differ
        return f"other ({front.get('license_name') or reference})"
    return licence


def front_matter(path: Path) -> dict[str, object]:
    """The values at the top of a README.md; empty if it is missing, damaged or has none."""
    try:
        with open_model_file(path) as file:
            text = io.TextIOWrapper(io.BytesIO(file.read(_MAX_BYTES)), "utf-8")
        if text.readline().rstrip() != "---":
            return {}
        lines = takewhile(lambda line: line.rstrip() != "---", islice(text, _MAX_LINES))
        values = yaml.safe_load("".join(lines))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}
