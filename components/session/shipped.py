"""Files shipped with the page: beside the packages in the repository, inside them in a wheel."""

from __future__ import annotations

from pathlib import Path


def shipped(path: str) -> Path:
    """The location of a file or folder, given its path in the repository."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "_shipped"
    return (inside if inside.is_dir() else package.parent) / path
