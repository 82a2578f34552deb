"""Opens regular files inside a model's folder; links must not lead out of it.

A downloaded folder may hold links to anything. The variable `DPPA_ROOTS` lists the folders below
which files may be opened. On a public page no path is opened at all.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from dppa_core.errors import NotAllowed, shown
from dppa_core.system.regular_files import open_regular

VARIABLE = "DPPA_ROOTS"


def roots() -> tuple[Path, ...]:
    """The folders that the variable lists; empty if it is not set."""
    listed = os.environ.get(VARIABLE, "")
    return tuple(Path(root).expanduser() for root in listed.split(os.pathsep) if root)


def within_roots(path: Path) -> Path:
    """The path, if it lies below one of the allowed folders; else raises NotAllowed.

    Links are followed first. Without the variable every path is allowed, since the process can read
    only what its user can.
    """
    allowed = roots()
    if not allowed:
        return path
    try:
        place = path.resolve()
        inside = any(place.is_relative_to(root.resolve()) for root in allowed)
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name with NUL
        inside = False
    if not inside:
        raise NotAllowed(
            f"{shown(str(path))[1:-1]}: not below {', '.join(map(str, allowed))}, where files may "
            f"be opened here. The variable {VARIABLE} sets this: put the files there, or add a "
            f"folder to it, after {os.pathsep!r}."
        )
    return path


def open_model_file(path: Path) -> BinaryIO:
    """Open a file of a model's folder for reading."""
    return open_regular(model_file(path), follow=False)


def model_file(path: Path) -> Path:
    """The real path of a file of a model's folder, links followed.

    A link may lead to a file below the folder, in the Hub's cache to a blob of the same model,
    and below the folders of `DPPA_ROOTS`. The folder itself may be a link.

    Raises:
        NotAllowed: it leads elsewhere. The message hides where.
        OSError: it leads nowhere, or in a loop.
    """
    if not os.path.islink(path):
        return path
    place = Path(os.path.realpath(path, strict=True))
    _check_place(path, place, Path(os.path.realpath(path.parent)))
    return place


def check_links(folder: Path) -> None:
    """Check all links in a model's folder, and in the folders in it, as `model_file` does.

    For libraries that open files of a folder themselves.
    """
    home = Path(os.path.realpath(folder))
    entries = list(os.scandir(folder))
    inner = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    for below in inner:
        if os.access(below, os.R_OK | os.X_OK):
            entries += os.scandir(below)
    for entry in entries:
        if entry.is_symlink():
            _check_place(Path(entry.path), Path(os.path.realpath(entry.path)), home)


def _check_place(path: Path, place: Path, folder: Path) -> None:
    allowed = (folder, *_blobs(folder), *(Path(os.path.realpath(root)) for root in roots()))
    if not any(place.is_relative_to(parent) for parent in allowed):
        raise NotAllowed(
            f"{shown(str(path), 300)[1:-1]}: a link that leads out of the folder. Files of a model "
            "are read from its own folder, from the Hub's cache, and from the folders that the "
            f"variable {VARIABLE} lists. A folder made of links to another disk is the usual "
            f"cause: copy the file into the folder, or list both places in {VARIABLE}."
        )


def _blobs(folder: Path) -> list[Path]:
    """The blob folder of a snapshot in the Hub's cache (models--…/snapshots/COMMIT)."""
    for place in (folder, *folder.parents):
        model = place.parent.parent
        if place.parent.name == "snapshots" and model.name.startswith("models--"):
            return [model / "blobs"]
    return []
