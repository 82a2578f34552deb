"""A block on measurements: the overview, or an experiment on an open question, and its plot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from ...session.measured import measured_part
from ...views.see.experiments import experiments_value, read_results, row_state
from .context import Arguments, BlockContext, choice

REPORT = "embedded"
"""The report of the experiments."""
OVERVIEW = "overview"
PLOTS = {OVERVIEW: 2, "beyond": 0, "sizes": 1, "offsets": 0, "significance": 0}
"""Experiment -> the shown plot."""
OPEN = [key for key in PLOTS if key != OVERVIEW]
"""Those a visitor chooses from."""
AXES = {"minus magnitude": "accuracy minus magnitude's"}
"""Title of a vertical axis -> a longer one."""
WORDS = {
    True: "Wins and losses are beyond chance, p-values corrected for all comparisons (Holm); ties "
    "lie within 2 points; the others are undecided.",
    False: "Ahead, behind, more and less: beyond chance, p-values corrected for the comparisons of "
    "the experiment (Holm). A cell is one model whose delta was made shorter or longer.",
}
"""True for the overview -> the meaning of the finding's words."""
REAL_PERCENT = 90.0
"""The pruning rate of the quoted merges of SmolLM2's models."""
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
    """One experiment, {"key"} of `PLOTS`: its question, its finding, and a plot. With "table" and
    "row", the session of the merge there."""
    key = choice(arguments, "key", tuple(PLOTS))
    if "row" in arguments:
        return {"take": row_state(read_results(REPORT), {**arguments, "key": key})}
    row, plot, overview = experiment(key), _plot(key), key == OVERVIEW
    return {
        "keys": [] if overview else [[name, experiment(name)["title"]] for name in OPEN],
        "key": key,
        "question": row["question"],
        "finding": row["finding"],
        "plot": plot,
        **(_map() if overview else {"map": None}),
        "note": NOTES.get(plot["y"]["title"], ""),
        "words": WORDS[overview],
        "at": 100 * _largest_gain()["gain-rate"] if overview else None,
        "figures": _figures(),
    }


def _map() -> dict[str, Any]:
    """The overview's first figure; by table and row, True if the page can set the merge."""
    overview = experiments_value(read_results(REPORT), OVERVIEW)["shown"]
    can = [[row["recipe"] for row in table["rows"]] for table in overview["tables"]]
    return {"map": overview["plots"][0], "set": can}


def _plot(key: str) -> dict[str, Any]:
    """Its plot, with a longer title and vertical axis."""
    plot = experiment(key)["plots"][PLOTS[key]]
    y = {**plot["y"], "title": AXES.get(plot["y"]["title"], plot["y"]["title"])}
    return {**plot, "title": HEADLINES[key](_curves(plot)), "y": y}


def _curves(plot: dict[str, Any]) -> Series:
    return {line["name"]: dict(zip(line["x"], line["y"], strict=True)) for line in plot["series"]}


def _overview(curves: Series) -> str:
    rate = _rate_of_largest_gain(curves)
    kept = {name: f"{curve[rate]:.0f}\u202f%" for name, curve in curves.items()}
    return (
        f"At {rate:g}\u202f% pruned, DPPA keeps {kept['DPPA']}, magnitude {kept['magnitude']}; "
        f"magnitude as pruned {kept['magnitude as pruned']}"
    )


def _rate_of_largest_gain(curves: Series) -> float:
    """The rate with the largest gap between DPPA and magnitude pruning without a factor."""
    dppa, plain = curves["DPPA"], curves["magnitude as pruned"]
    return float(max(dppa, key=lambda rate: dppa[rate] - plain[rate]))


def _beyond(curves: Series) -> str:
    gaps = curves["DP minus magnitude"]
    return f"DP minus magnitude: {_points(gaps[80])} at 80\u202f%, {_points(gaps[95])} at 95\u202f%"


def _sizes(curves: Series) -> str:
    parts = [f"{_points(gap)} at {size:g}\u202fM" for size, gap in curves["DPPA"].items()]
    return f"At 90\u202f% pruned, DPPA minus magnitude: {', '.join(parts)}"


def _offsets(curves: Series) -> str:
    gaps = curves["DARE"]
    best, worst = max(gaps, key=gaps.__getitem__), min(gaps, key=gaps.__getitem__)
    return (
        f"DARE minus magnitude: {_points(gaps[best])} at ‖d‖/‖W‖ {best:.2f}, "
        f"{_points(gaps[worst])} at {worst:.2f}"
    )


def _significance(curves: Series) -> str:
    kept = ", ".join(f"by {name} {share:.0f}\u202f%" for name, share in curves["90 %"].items())
    return f"Pruned at 90\u202f%, mean retention is {kept}"


HEADLINES: dict[str, Callable[[Series], str]] = {
    "overview": _overview,
    "beyond": _beyond,
    "sizes": _sizes,
    "offsets": _offsets,
    "significance": _significance,
}


def _points(x: float) -> str:
    return f"{x:+.1f} points".replace("-", "−")


def _figures() -> dict[str, Any]:
    dp, dppa = experiment("beyond")["plots"][0]["series"]
    return {
        "dp-first": dp["y"][0] / 100,
        "dp-last": dp["y"][3] / 100,
        "dppa-last": dppa["y"][3] / 100,
        "last-rate": dp["x"][3] / 100,
        "weak-last": _gain_of_strength("0.04"),
        "strong-last": _gain_of_strength("0.08"),
        **_random_ranking(),
        **_largest_gain(),
        **_real_model(),
    }


def _shares(cells: Mapping[str, float], names: Iterable[str], prefix: str) -> dict[str, float]:
    """Percentages as fractions, by names for the text."""
    return {f"{prefix}-{name.lower().replace(' ', '-')}": cells[name] / 100 for name in names}


def _real_model() -> dict[str, float]:
    """Retention of three merges of SmolLM2's shipped models at 90 %."""
    for table in experiment(OVERVIEW)["tables"]:
        for row in values_of(table):
            cells = dict(zip(titles_of(table), row, strict=True))
            real = str(cells.get("models")).startswith("smollm2, lora")
            if real and cells["pruned"] == REAL_PERCENT:
                return _shares(cells, ("task arithmetic", "magnitude", "DPPA"), "real")
    return {}


def _largest_gain() -> dict[str, float]:
    """The rate at which DPPA gains most, and the retention of each merge of the overview there."""
    curves = _curves(experiment(OVERVIEW)["plots"][PLOTS[OVERVIEW]])
    rate = _rate_of_largest_gain(curves)
    kept = {name: curve[rate] for name, curve in curves.items()}
    return {"gain-rate": rate / 100, **_shares(kept, kept, "gain")}


def _random_ranking() -> dict[str, float]:
    """Random ranking at 90 %: shares right of finance and of all, mean retention."""
    (table,) = experiment("significance")["tables"]
    (row,) = (row for row in values_of(table) if row[:2] == ["random", 90.0])
    cells = dict(zip(titles_of(table), row, strict=True))
    right = [cells[name] / 100 for name in ("math", "finance", "law")]
    return {
        "chance-finance": cells["finance"] / 100,
        "chance-right": round(sum(right) / len(right), 2),
        "chance-retention": cells["mean retention"] / 100,
    }


def _gain_of_strength(strength: str) -> float:
    """Accuracy at a strength of DP minus accuracy at strength 0, at 95 %, mean of three domains."""
    maps = experiment("strength")["plots"][:3]
    cells = [
        plot["cells"][plot["rows"].index("95 %")][plot["columns"].index(strength)] for plot in maps
    ]
    return float(sum(cells) / len(cells) / 100)
