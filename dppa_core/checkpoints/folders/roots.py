"""The folders below which files may be opened: the variable `DPPA_ROOTS`.

On a public page no path is opened at all.
"""

from __future__ import annotations

import os
from pathlib import Path

from dppa_core.errors import NotAllowed, shown

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
