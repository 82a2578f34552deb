"""Walks of the usual small matrix for a grid of settings, for figures without a server."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dppa_core.system.folder_cache import cache_folder, kept
from dppa_core.teaching.by_hand.walk import explain

RATES = (0.5, 0.95, 0.05)
FACTORS = (1.0, 3.0, 1.0)
"""First, last and step."""
FIRST = {"rate": 0.8, "factor": 2.0}


@cache
def first_walk() -> dict[str, Any]:
    """The walk that a figure opens with."""
    return explain(FIRST)


def walks() -> bytes:
    """All of them as JSON, from the disk cache if they were worked out before.

    `parts` are the steps, each once; `steps` lists for each pair of `settings` (rate, factor)
    the numbers of its steps.
    """
    here = sorted(Path(__file__).parent.glob("*.py"))
    source = hashlib.sha256(b"".join(path.read_bytes() for path in here)).hexdigest()
    return kept(cache_folder("tab") / f"walks-{source[:16]}", work_out)


def work_out() -> bytes:
    """As `walks`, always anew."""
    parts: dict[str, int] = {}
    settings = [(rate, factor) for rate in _values(RATES) for factor in _values(FACTORS)]
    steps = [
        [
            parts.setdefault(json.dumps(step), len(parts))
            for step in explain({"rate": rate, "factor": factor})["steps"]
        ]
        for rate, factor in settings
    ]
    text = json.dumps({"settings": settings, "steps": steps, "parts": list(map(json.loads, parts))})
    return text.encode()


def _values(span: tuple[float, float, float]) -> list[float]:
    first, last, step = span
    return [float(x) for x in np.round(np.arange(first, last + step / 2, step), 4)]
