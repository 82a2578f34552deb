"""A block on measurements: an experiment on an open question, and its plot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ...session.measured import measured_part
from .context import Arguments, BlockContext, choice

REPORT = "embedded"
"""The report of the experiments."""
PLOTS = {"significance": 0, "sizes": 1, "beyond": 0, "offsets": 1}
"""Experiment -> the shown plot."""
OPEN = ("significance", "sizes", "beyond")
"""Those a visitor chooses from where the lesson names none."""
AXES = {"minus magnitude": "accuracy minus magnitude's"}
"""Title of a vertical axis -> a longer one."""
WORDS = (
    "Ahead, behind, more and less: beyond chance, p-values corrected for the comparisons of the "
    "experiment (Holm)."
)
"""The meaning of the finding's words."""
Series = Mapping[str, Mapping[Any, float]]
"""Curves of a plot: name -> x -> y."""
NOTES = {
    "mean retention": "Mean retention is the geometric mean of the three models' retentions: it is "
    "0 as soon as one of them is."
}
"""Title of a plot's vertical axis -> a note on it."""


@cache
def _experiments() -> dict[str, dict[str, Any]]:
    report = measured_part("experiments")[REPORT]
    return {row["key"]: row for row in report["experiments"]}


def experiment(key: str) -> dict[str, Any]:
    """The JSON of one experiment that was run."""
    return _experiments()[key]


def titles_of(table: dict[str, Any]) -> list[str]:
    """The titles of a table's columns."""
    return [column["title"] for column in table["columns"]]


def values_of(table: dict[str, Any]) -> list[list[Any]]:
    """The values of a table's cells, by row."""
    return [[cell["value"] for cell in row["cells"]] for row in table["rows"]]


def open_question(arguments: Arguments, _context: BlockContext) -> dict[str, Any]:
    """One experiment, {"key"} of `PLOTS`: its question, its finding, and a plot."""
    key = choice(arguments, "key", tuple(PLOTS))
    row, plot = experiment(key), _plot(key)
    return {
        "choose": "Experiment",
        "keys": [] if "key" in arguments else [[name, experiment(name)["title"]] for name in OPEN],
        "key": key,
        "question": row["question"],
        "finding": row["finding"],
        "plot": plot,
        "note": NOTES.get(plot["y"]["title"], ""),
        "words": WORDS,
        "figures": _figures(),
    }


MEASURED_MODELS = {"embedded": "Embedded models", "smollm2": "SmolLM2-135M"}
"""Models on which forms were measured -> their title."""


def forms_by_size(arguments: Arguments, _context: BlockContext) -> dict[str, Any]:
    """What forms of a delta keep, by the size of the delta: measured by itself, drawn alike."""
    of_models = measured_part("forms")
    key = choice(arguments, "key", tuple(of_models))
    measured = of_models[key]
    return {
        "keys": [[name, MEASURED_MODELS[name]] for name in of_models] if len(of_models) > 1 else [],
        "choose": "Measured on",
        "key": key,
        "question": measured["question"],
        "finding": "",
        "plot": measured["plot"],
        "note": measured["note"],
        "words": "",
        "figures": {"smallest": min(of_models["embedded"]["plot"]["series"][0]["x"])},
    }


def _plot(key: str) -> dict[str, Any]:
    """Its plot, with a longer title and vertical axis."""
    plot = experiment(key)["plots"][PLOTS[key]]
    y = {**plot["y"], "title": AXES.get(plot["y"]["title"], plot["y"]["title"])}
    return {**plot, "title": HEADLINES[key](_curves(plot)), "y": y}


def _curves(plot: dict[str, Any]) -> Series:
    return {line["name"]: dict(zip(line["x"], line["y"], strict=True)) for line in plot["series"]}


def _beyond(curves: Series) -> str:
    gaps = curves["DP minus magnitude"]
    return f"DP minus magnitude: {_points(gaps[80])} at 80\u202f%, {_points(gaps[95])} at 95\u202f%"


def _sizes(curves: Series) -> str:
    parts = [f"{_points(gap)} at {size:g}\u202fM" for size, gap in curves["DPPA"].items()]
    return f"At 90\u202f% pruned, DPPA minus magnitude: {', '.join(parts)}"


def _offsets(curves: Series) -> str:
    kept = curves["DARE"]
    ends = ", ".join(f"{kept[x]:.0f}\u202f% at ‖d‖/‖W‖ {x:.2f}" for x in (min(kept), max(kept)))
    return f"Pruned at 90\u202f%, DARE keeps {ends}"


def _significance(curves: Series) -> str:
    kept = ", ".join(f"by {name} {share:.0f}\u202f%" for name, share in curves["90 %"].items())
    return f"Pruned at 90\u202f%, mean retention is {kept}"


HEADLINES: dict[str, Callable[[Series], str]] = {
    "beyond": _beyond,
    "sizes": _sizes,
    "offsets": _offsets,
    "significance": _significance,
}


def _points(x: float) -> str:
    return f"{x:+.1f} points".replace("-", "−")


def _figures() -> dict[str, Any]:
    dp = experiment("beyond")["plots"][0]["series"][0]
    kept = _curves(experiment("offsets")["plots"][PLOTS["offsets"]])
    merged = _curves(experiment("overview")["plots"][2])
    small, large = min(kept["DARE"]), max(kept["magnitude"])
    return {
        "dp-first": dp["y"][0] / 100,
        "dp-last": dp["y"][3] / 100,
        "one-factor": merged["magnitude"][95] / 100,
        "two-factors": merged["DPPA"][95] / 100,
        "small": small,
        "small-dare": kept["DARE"][small] / 100,
        "small-magnitude": kept["magnitude"][small] / 100,
        "large": large,
        "large-magnitude": kept["magnitude"][large] / 100,
    }
