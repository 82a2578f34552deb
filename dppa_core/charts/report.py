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
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dppa_core.evaluation.tables import Cell, Table

FORMAT = 1
DIGITS = 5
"""Significant digits of a number in the file."""
_NOTHING = 1e-12
"""Smaller numbers are float64 rounding errors of zero."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Title and unit of an axis."""

    title: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Named points in drawing order."""

    name: str
    x: tuple[float | str, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    labels: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        x: Iterable[float | str],
        cells: Iterable[Cell],
        labels: tuple[str, ...] = (),
    ) -> Series:
        """A series from cells with numbers and intervals, one per x."""
        each = tuple(cells)
        y = tuple(one.value if isinstance(one.value, float) else None for one in each)
        low, high = tuple(one.low for one in each), tuple(one.high for one in each)
        return cls(name, tuple(x), y, low, high, labels)


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines, bars or points over an axis."""

    kind: Literal["lines", "bars", "scatter"]
    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]

    @classmethod
    def of(
        cls,
        kind: Literal["lines", "bars", "scatter"],
        title: str,
        axes: tuple[Axis, Axis],
        places: Iterable[float | str],
        cells: Mapping[str, Iterable[Cell]],
        labels: tuple[str, ...] = (),
    ) -> Chart:
        """A chart of series with the same x, by name; `axes` are x and y."""
        x = tuple(places)
        series = tuple(Series.of(name, x, each, labels) for name, each in cells.items())
        return cls(kind, title, *axes, series)


NOTHING_TOLD = "×"
"""The sign of a number that tells nothing: its cell has no colour."""


@dataclass(frozen=True, slots=True)
class Heatmap:
    """A matrix of numbers as colours."""

    title: str
    x: Axis
    y: Axis
    z: Axis
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cells: tuple[tuple[float | None, ...], ...]
    middle: float | None = None
    """Neutral number of diverging colours."""
    marks: tuple[tuple[str, ...], ...] = ()
    """A sign behind each number; empty: none."""
    places: tuple[tuple[tuple[int, int] | None, ...], ...] = ()
    """Table and row, from 0, of each number; empty: none."""
    how: str = ""
    """What the signs and names mean."""
    kind: Literal["heatmap"] = "heatmap"


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
    costs = [one.cost for one in report.experiments]
    return {
        "format": FORMAT,
        "command": report.command,
        "machine": report.machine,
        "versions": dict(report.versions),
        "setting": dict(report.setting),
        "seconds": _seconds(sum(c.processor for c in costs), sum(c.wall for c in costs)),
        "experiments": [experiment_json(one) for one in report.experiments],
    }


def experiment_json(one: Experiment) -> dict[str, Any]:
    """The JSON object of one experiment."""
    found = one.findings or Findings((), ())
    return {
        **{name: getattr(one, name) for name in _TEXTS},
        **_plain(asdict(found)),
        "seconds": _seconds(one.cost.processor, one.cost.wall),
        "answers": one.cost.answers,
        "known": one.cost.known,
    }


_TEXTS = ("key", "number", "title", "question", "measured", "not_run", "made")


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
        found = [_nested(one) for one in value["experiments"]]
        return TypeAdapter(ExperimentsReport).validate_python({**value, "experiments": found})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no result of experiments ({error!r})") from error


def _nested(value: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an `Experiment`, which its JSON has side by side."""
    cost = {**value["seconds"], "answers": value["answers"], "known": value["known"]}
    return {**value, "findings": None if value["not_run"] else value, "cost": cost}
