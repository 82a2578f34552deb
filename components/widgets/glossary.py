"""The glossary of the page's labels, plots and lessons, from assets/data/glossary.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import yaml

from components.session.shipped import shipped

FILE = shipped("assets/data/glossary.yaml")


@cache
def glossary() -> Mapping[str, str]:
    """Term -> its meaning in a sentence or two, in the order of the file."""
    read: dict[str, str] = yaml.load(FILE.read_text(encoding="utf-8"), _LOADER)
    return {str(term): " ".join(str(text).split()) for term, text in read.items()}


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where it was built
