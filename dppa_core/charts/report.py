"""Results of experiments as plain values, and their JSON; imports nothing heavy.
The format, number `FORMAT`. A file is one object:

    format      1
    command     the command line
    machine     the machine; versions: {package: version}
    setting     {title, base, models: [{model, domain}], test_items, search_items}; items null: all
    seconds     {processor, wall} of all experiments together
    experiments in their order, each

        key, number, title, question, measured    texts; `key` is its name on the command line
        made        the command that measured it
        not_run     why it was not run, then without tables and plots; empty if it was run
        missing     parts that were not run, each with its reason
        tables      [{title, columns: [{title, unit}], rows: [{cells, recipe}]}]
        plots       [{kind, title, x: {title, unit}, y: …, series, …}]
        finding     one paragraph, written by hand; empty of a run of one's own
        short       the same in a sentence or two
        seconds     {processor, wall}: of all its runs; `answers` asked for, `known` of them from
                    runs that are not in this folder's journal

Numbers are in the unit of their column or axis: 87.5 under "%" is 87.5 %. A cell is
{value, low, high, n, note}: a number, text or null; its 95 % interval or null; its number of items;
why it is empty, or a remark. The first column names the row. A row's `recipe` is YAML as
`parse_recipe` reads it: the merge of the row; null if there is none, or several.

Plots by kind:

    lines, bars, scatter    series: [{name, x: [number or text], y: [number or null], low, high,
                            labels}]; `low` and `high` of each y, or empty lists; `labels` of each
                            point, or an empty list. Bars: x are names, the same for all series
    heatmap                 columns: [text], rows: [text], cells: [[number or null]], one list per
                            row; z: {title, unit}; middle: the neutral number of diverging colours,
                            else null; marks: a sign for each cell, or empty; places: [table, row]
                            of each cell, or null; how: what the marks mean
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dppa_core.charts.plots import Chart, Heatmap
from dppa_core.charts.tables import Table

FORMAT = 1
_TEXTS = ("key", "number", "title", "question", "measured", "not_run", "made")
"""Fields of `Experiment` that a file holds as they are."""
DIGITS = 5
"""Significant digits of a number in the file."""
_NOTHING = 1e-12
"""Smaller numbers are float64 rounding errors of zero."""


Plot = Chart | Heatmap


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of an experiment."""

    tables: tuple[Table, ...]
    plots: tuple[Plot, ...]
    finding: str = ""
    """One paragraph, written by hand; empty of a run of one's own."""
    missing: tuple[str, ...] = ()
    """Parts that were not run, with reasons."""
    short: str = ""
    """The finding in a sentence or two."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of an experiment over all its runs."""

    processor: float = 0.0
    """Seconds."""
    wall: float = 0.0
    """Seconds."""
    answers: int = 0
    known: int = 0
    """Number of answers without a journal entry."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One experiment with its findings."""

    key: str
    number: str
    title: str
    question: str
    measured: str
    findings: Findings | None
    """None if it was not run."""
    not_run: str = ""
    """Why it was not run."""
    cost: Cost = field(default_factory=Cost)
    made: str = ""
    """Command and machine, if it was run apart from the others of its report; of one without
    answers of its own, the command that measures what it shows."""


@dataclass(frozen=True, slots=True)
class ExperimentsReport:
    """The report of a run of experiments."""

    command: str
    machine: str
    versions: Mapping[str, str]
    setting: Mapping[str, Any]
    """See the module's docstring."""
    experiments: tuple[Experiment, ...]


def report_json(report: ExperimentsReport) -> dict[str, Any]:
    """The file's JSON object; numbers have five significant digits."""
    costs = [experiment.cost for experiment in report.experiments]
    return {
        "format": FORMAT,
        "command": report.command,
        "machine": report.machine,
        "versions": dict(report.versions),
        "setting": dict(report.setting),
        "seconds": _seconds(sum(c.processor for c in costs), sum(c.wall for c in costs)),
        "experiments": [experiment_json(experiment) for experiment in report.experiments],
    }


def experiment_json(experiment: Experiment) -> dict[str, Any]:
    """The JSON object of one experiment."""
    cost = experiment.cost
    return {
        **{name: getattr(experiment, name) for name in _TEXTS},
        **_plain(asdict(experiment.findings or Findings((), ()))),
        "seconds": _seconds(cost.processor, cost.wall),
        "answers": cost.answers,
        "known": cost.known,
    }


def _seconds(processor: float, wall: float) -> dict[str, float]:
    return {"processor": round(processor, 1), "wall": round(wall, 1)}


def _plain(value: Any) -> Any:
    """A JSON-ready copy: tuples as lists, numbers rounded."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return 0.0 if abs(value) < _NOTHING else float(f"{value:.{DIGITS}g}")
    return value


def report_of(value: Mapping[str, Any]) -> ExperimentsReport:
    """The report that `report_json` wrote; raises ValueError for anything else."""
    if value.get("format") != FORMAT:
        raise ValueError(f"the format is {value.get('format')!r}, not {FORMAT}")
    from pydantic import TypeAdapter  # noqa: PLC0415  (a tenth of a second)

    try:
        nested = [_nested(experiment) for experiment in value["experiments"]]
        return TypeAdapter(ExperimentsReport).validate_python({**value, "experiments": nested})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no result of experiments ({error!r})") from error


def _nested(value: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an `Experiment`, which its JSON has side by side."""
    cost = {**value["seconds"], "answers": value["answers"], "known": value["known"]}
    return {**value, "findings": None if value["not_run"] else value, "cost": cost}
