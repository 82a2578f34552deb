"""Where the parents of a merge come from and what they say of themselves: for the model card.

Knows folders and the front matter of their README.md, and headers of packs, never a weight.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

import yaml

from dppa_core.checkpoints.adapters.pack_format import SUFFIX, read_pack_header
from dppa_core.checkpoints.folders.model_files import open_model_file
from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.recipes.yaml_text import parse_recipe

_LONGEST = 2000  # lines of front matter; the Hub's largest have a few hundred
_MOST = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Parent:
    """One model that went into a merge."""

    reference: str
    """As the recipe names it."""
    licence: str | None
    """Identifier of the Hub, as its README.md states it; "other (NAME)" for one of its own."""
    made_of: tuple[str, ...] = ()
    """References of the models that a delta pack was made of."""


def parent_of(reference: str, folder: Path) -> Parent:
    """What the folder of a checkpoint, or a delta pack, says of the model in it.

    A README.md that is missing, damaged or silent is no error: it then says nothing.

    Raises:
        NotAllowed: it is a link that leads out of the folder.
    """
    if folder.suffix == SUFFIX and folder.is_file():
        header = read_pack_header(open_file(folder, named=True))
        models = tuple(model.model for model in parse_recipe(header.recipe).models)
        return Parent(reference, header.licence or None, models)
    return Parent(reference, licence_in(front_matter(folder / "README.md"), reference))


def licence_in(front: Mapping[str, object], reference: str) -> str | None:
    """The licence that the front matter of a card states; None where it states none.

    Args:
        front: Its values.
        reference: Of the model, which tells one "other" licence from another.
    """
    licence = front.get("license")
    if not isinstance(licence, str) or not licence.strip():
        return None
    if licence == "other":  # one says nothing about another
        return f"other ({front.get('license_name') or reference})"
    return licence


def front_matter(path: Path) -> dict[str, object]:
    """The values at the top of a README.md; none where it is missing, damaged or has none.

    Raises:
        NotAllowed: a link that leads out of the folder.
    """
    try:
        with open_model_file(path) as file:
            text = io.TextIOWrapper(io.BytesIO(file.read(_MOST)), "utf-8")
        if text.readline().rstrip() != "---":
            return {}
        lines = takewhile(lambda line: line.rstrip() != "---", islice(text, _LONGEST))
        values = yaml.safe_load("".join(lines))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}
