"""Walks of the usual small matrices for a grid of settings, for a tab that asks no server."""

from __future__ import annotations

import gzip
import hashlib
import json
from functools import cache, partial
from pathlib import Path
from typing import Any

from dppa_core.system.folder_cache import cache_folder, kept
from dppa_core.tab.files import FOLDER
from dppa_core.teaching.by_hand.tiny_merge import STARTS
from dppa_core.teaching.by_hand.walk import explain

RATES = tuple(n / 100 for n in range(50, 100, 5))
FACTORS = tuple(n / 2 for n in range(9))
"""The settings of the grid; the coefficients are the usual ones."""
FILES = {f"by-hand-{start}.gz": start for start in STARTS}
"""Name of a grid -> its start."""


@cache
def opening(start: str = STARTS[0]) -> dict[str, Any]:
    """The walk that a start opens with."""
    return explain({"start": start})


def grid_address(start: str) -> str:
    """Where a page has the grid of a start, relative to itself, with the version of its content."""
    return f"{FOLDER}/by-hand-{start}.gz?{_version(start)}"


def walks(start: str) -> bytes:
    """All of a start, as `work_out` gives them; from the disk cache if they were worked out
    before: two seconds of one core."""
    return kept(cache_folder("tab") / f"walks-{_version(start)}", partial(work_out, start))


def work_out(start: str) -> bytes:
    """The opening walk as compressed JSON, and those of the grid in place of its steps.

    `parts` are the steps, each once; `steps` lists the numbers of the steps for each pair of
    `rates` and `factors`, all factors of one rate in a row.
    """
    parts: dict[str, int] = {}
    steps = [
        [
            parts.setdefault(json.dumps(step), len(parts))
            for step in explain({"start": start, "rate": rate, "factor": factor})["steps"]
        ]
        for rate in RATES
        for factor in FACTORS
    ]
    grid = {"rates": RATES, "factors": FACTORS, "steps": steps}
    text = _json({**opening(start), **grid, "parts": list(map(json.loads, parts))})
    return gzip.compress(text, mtime=0)


@cache
def _version(start: str) -> str:
    """A hash of this package and of the opening walk: of its weights, and of what steps compute."""
    sources = (path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    return hashlib.sha256(b"".join([*sources, _json(opening(start))])).hexdigest()


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
