"""A block on what was measured: the overview, or an experiment on a question that the paper leaves
open, and its plot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ...session.measured import measured_part
from ...views.see.experiments import experiments_value, read_results, row_state
from .context import Arguments, BlockContext, choice

RESULTS = "embedded"
"""The report it is of."""
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
"""Whether it is the overview -> the meaning of the finding's words."""
REAL_RATE = 90.0
"""The pruning rate, in per cent, at which merges of SmolLM2's models are told."""
Series = Mapping[str, Mapping[Any, float]]
"""Curves of a plot: name -> x -> y."""
NOTES = {
    "mean retention": "Mean retention is the geometric mean of the three models' retentions: it is "
    "0 as soon as one of them is."
}
"""Title of a plot's vertical axis -> a note on it."""


@cache
def _experiments() -> dict[str, dict[str, Any]]:
    report = measured_part("experiments")[RESULTS]
    return {one["key"]: one for one in report["experiments"]}


def experiment(key: str) -> dict[str, Any]:
    """The JSON of one experiment that was run."""
    return _experiments()[key]


def open_question(arguments: Arguments, _bench: BlockContext) -> dict[str, Any]:
    """One experiment, {"key"} of `PLOTS`: its question, its finding, and a plot. With "table" and
    "row", the session of the merge there."""
    key = choice(arguments, "key", tuple(PLOTS))
    if "row" in arguments:
        return {"take": row_state(read_results(RESULTS), {**arguments, "key": key})}
    found, plot = experiment(key), _plot(key)
    return {
        "keys": [] if key == OVERVIEW else [[one, experiment(one)["title"]] for one in OPEN],
        "key": key,
        "question": found["question"],
        "finding": found["finding"],
        "plot": plot,
        **(_map() if key == OVERVIEW else {"map": None}),
        "note": NOTES.get(plot["y"]["title"], ""),
        "words": WORDS[key == OVERVIEW],
        "at": 100 * _at_the_largest_gain()["gain-rate"] if key == OVERVIEW else None,
        "figures": _figures(),
    }


def _map() -> dict[str, Any]:
    """The overview's first figure, and by table and row whether the page can set the merge."""
    shown = experiments_value(read_results(RESULTS), OVERVIEW)["shown"]
    can = [[row["recipe"] for row in table["rows"]] for table in shown["tables"]]
    return {"map": shown["plots"][0], "set": can}


def _plot(key: str) -> dict[str, Any]:
    """Its plot, with a longer title and vertical axis."""
    plot = experiment(key)["plots"][PLOTS[key]]
    of = {one["name"]: dict(zip(one["x"], one["y"], strict=True)) for one in plot["series"]}
    y = {**plot["y"], "title": AXES.get(plot["y"]["title"], plot["y"]["title"])}
    return {**plot, "title": HEADLINES[key](of), "y": y}


def _overview(of: Series) -> str:
    rate = _where_most_is_gained(of)
    told = {name: f"{line[rate]:.0f}\u202f%" for name, line in of.items()}
    return (
        f"At {rate:g}\u202f% pruned, DPPA keeps {told['DPPA']}, magnitude {told['magnitude']}; "
        f"magnitude as pruned {told['magnitude as pruned']}"
    )


def _where_most_is_gained(of: Series) -> float:
    """The rate at which DPPA keeps most beyond what magnitude pruning leaves."""
    return float(max(of["DPPA"], key=lambda x: of["DPPA"][x] - of["magnitude as pruned"][x]))


def _beyond(of: Series) -> str:
    gaps = of["DP minus magnitude"]
    return f"DP minus magnitude: {_points(gaps[80])} at 80\u202f%, {_points(gaps[95])} at 95\u202f%"


def _sizes(of: Series) -> str:
    parts = [f"{_points(gap)} at {size:g}\u202fM" for size, gap in of["DPPA"].items()]
    return f"At 90\u202f% pruned, DPPA minus magnitude: {', '.join(parts)}"


def _offsets(of: Series) -> str:
    (best, most), (worst, least) = (
        pick(of["DARE"].items(), key=lambda one: one[1]) for pick in (max, min)
    )
    return (
        f"DARE minus magnitude: {_points(most)} at ‖d‖/‖W‖ {best:.2f}, "
        f"{_points(least)} at {worst:.2f}"
    )


def _ranked(of: Series) -> str:
    kept = ", ".join(f"by {name} {share:.0f}\u202f%" for name, share in of["90 %"].items())
    return f"Pruned at 90\u202f%, mean retention is {kept}"


HEADLINES: dict[str, Callable[[Series], str]] = {
    "overview": _overview,
    "beyond": _beyond,
    "sizes": _sizes,
    "offsets": _offsets,
    "significance": _ranked,
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
        "weak-last": _against_none("0.04"),
        "strong-last": _against_none("0.08"),
        **_by_chance(),
        **_at_the_largest_gain(),
        **_of_a_real_model(),
    }


def _of_a_real_model() -> dict[str, float]:
    """What three merges of SmolLM2's shipped models keep at 90 %."""
    for table in experiment(OVERVIEW)["tables"]:
        titles = [column["title"] for column in table["columns"]]
        for row in table["rows"]:
            at = dict(zip(titles, (cell["value"] for cell in row["cells"]), strict=True))
            if str(at.get("models")).startswith("smollm2, lora") and at["pruned"] == REAL_RATE:
                names = ("task arithmetic", "magnitude", "DPPA")
                return {f"real-{name.lower().replace(' ', '-')}": at[name] / 100 for name in names}
    return {}


def _at_the_largest_gain() -> dict[str, float]:
    """The rate at which DPPA gains most, and what each merge of the overview keeps there."""
    plot = experiment(OVERVIEW)["plots"][PLOTS[OVERVIEW]]
    of = {one["name"]: dict(zip(one["x"], one["y"], strict=True)) for one in plot["series"]}
    rate = _where_most_is_gained(of)
    kept = {f"gain-{name.lower().replace(' ', '-')}": line[rate] / 100 for name, line in of.items()}
    return {"gain-rate": rate / 100, **kept}


def _by_chance() -> dict[str, float]:
    """Random ranking at 90 %: finance's share right, that of all three in whole per cent, mean
    retention."""
    (table,) = experiment("significance")["tables"]
    rows = [[cell["value"] for cell in row["cells"]] for row in table["rows"]]
    (row,) = (one for one in rows if one[:2] == ["random", 90.0])
    titles = [column["title"] for column in table["columns"]]
    of = {name: row[titles.index(name)] / 100 for name in ("math", "finance", "law")}
    return {
        "chance-finance": of["finance"],
        "chance-right": round(sum(of.values()) / len(of), 2),
        "chance-retention": row[titles.index("mean retention")] / 100,
    }


def _against_none(strength: str) -> float:
    """Accuracy at a strength of DP minus accuracy at strength 0, at 95 %, mean of three domains."""
    maps = experiment("strength")["plots"][:3]
    cells = [
        one["cells"][one["rows"].index("95 %")][one["columns"].index(strength)] for one in maps
    ]
    return float(sum(cells) / len(cells) / 100)
