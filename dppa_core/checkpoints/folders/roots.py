"""Below which folders files may be opened, where somebody has said so: `DPPA_ROOTS`.

Knows paths. On a public page no path is opened at all.
"""

from __future__ import annotations

import os
from pathlib import Path

from dppa_core.errors import NotAllowed, shown

VARIABLE = "DPPA_ROOTS"


def roots() -> tuple[Path, ...]:
    """The folders that the variable lists; none where it is not set."""
    chosen = os.environ.get(VARIABLE, "")
    return tuple(Path(root).expanduser() for root in chosen.split(os.pathsep) if root)


def within_roots(path: Path) -> Path:
    """The path, where it lies below one of the folders that may be read.

    Links are followed first: one that leads out of a folder is not in it. Without the variable
    every path is allowed, since the process reads what its user may read anyway.

    Raises:
        NotAllowed: it does not.
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
            f"be opened here. The variable {VARIABLE} says so: put the files there, or add a "
            f"folder to it, after {os.pathsep!r}."
        )
    return path
