"""Files shipped with the page: beside the packages in the repository, inside them in a wheel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where it was built


def shipped(path: str) -> Path:
    """The location of a file or folder, given its path in the repository."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "_shipped"
    return (inside if inside.is_dir() else package.parent) / path


@cache
def glossary() -> Mapping[str, str]:
    """Term -> its meaning in a sentence or two, for labels, plots and lessons, in order."""
    text = shipped("assets/data/glossary.yaml").read_text(encoding="utf-8")
    read: dict[str, str] = yaml.load(text, _LOADER)
    return {str(term): " ".join(str(meaning).split()) for term, meaning in read.items()}
