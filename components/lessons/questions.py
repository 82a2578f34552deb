"""A block about what the paper leaves open: an experiment run on small models, and its plot.

Knows the results that `dppa reproduce` wrote; drawn by assets/learn/questions.js.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from components.lessons.bench import Arguments, Bench, choice

RESULTS = Path(__file__).resolve().parents[2] / "assets" / "experiments.json"
PLOTS = {"beyond": 0, "sizes": 1, "offsets": 0, "significance": 0}
"""Experiment -> its plot that is shown."""


@cache
def _experiments() -> dict[str, dict[str, Any]]:
    report = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {one["key"]: one for one in report["experiments"]}


def open_question(arguments: Arguments, _bench: Bench) -> dict[str, Any]:
    """One experiment: what was asked, what was found, and a plot of it.

    Arguments: {"key"}: one of `PLOTS`.
    """
    key = choice(arguments, "key", tuple(PLOTS))
    found = _experiments()[key]
    return {
        "keys": [[one, _experiments()[one]["title"]] for one in PLOTS],
        "key": key,
        "question": found["question"],
        "finding": found["finding"],
        "plot": found["plots"][PLOTS[key]],
        "figures": _figures(),
    }


def _figures() -> dict[str, Any]:
    dp, dppa = _experiments()["beyond"]["plots"][0]["series"]
    return {
        "dp-first": dp["y"][0] / 100,
        "dp-last": dp["y"][3] / 100,
        "dppa-last": dppa["y"][3] / 100,
        "last-rate": dp["x"][3] / 100,
        "weak-last": _against_none("0.04"),
        "strong-last": _against_none("0.08"),
    }


def _against_none(strength: str) -> float:
    """Accuracy at a strength of DP minus that at strength 0, at 95 %, mean of the three domains."""
    maps = _experiments()["strength"]["plots"][:3]
    cells = [
        one["cells"][one["rows"].index("95 %")][one["columns"].index(strength)] for one in maps
    ]
    return float(sum(cells) / len(cells) / 100)
