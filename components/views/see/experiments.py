"""Results of the paper's experiments, as `dppa reproduce` writes them.

A button sets the controls to the merge of a row. assets/js/plots/experiments.js draws the view.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from dppa_core.charts.report import report_of
from dppa_core.checkpoints.sources.zoo import zoo_names
from dppa_core.errors import DppaError, InvalidValue, many, shown
from dppa_core.recipes.yaml_text import parse_recipe

from ...session.from_recipe import session_from_recipe
from ...session.json_form import asked_keys
from ...session.measured import measured_part
from ...session.state import state_of
from ...widgets.browser_parts import live, pack
from ...widgets.controls import PRIVATE

Source = Path | str
"""A file of `dppa reproduce`, or the name of a report among what the laboratory measured."""
RESULTS: tuple[Source, ...] = ("embedded", "smollm2")
HEAD = ("key", "number", "title", "not_run")
ABOUT = ("command", "machine", "versions", "setting", "seconds")


@dataclass(frozen=True, slots=True)
class Results:
    """A report, read and checked."""

    about: dict[str, Any]
    """Command, machine, models, and total duration."""
    experiments: tuple[dict[str, Any], ...]
    """In the form of `dppa_core.charts.report`."""

    def experiment(self, key: str) -> dict[str, Any]:
        """An experiment by its key, the first one for an empty key; InvalidValue if unknown."""
        for experiment in self.experiments:
            if key in ("", experiment["key"]):
                return experiment
        raise InvalidValue(f"No experiment {shown(key)} is among the results.")


Fields = Mapping[str, Any]
"""A request of the page."""


def results_of(sources: Sequence[Source], request: Fields) -> Results:
    """The results of the chosen models: {"models": index of their source}, the first if unset.
    InvalidValue: see `read_results`, or there are no such models."""
    index = _index(request.get("models", 0))
    if index >= len(sources):
        raise InvalidValue(f"No models {index}: there are results of {many(len(sources), 'set')}.")
    return read_results(sources[index])


def readable_sources(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """Title and index of the models whose results can be read."""
    rows = []
    for index, source in enumerate(sources):
        with suppress(InvalidValue):  # shown once they are requested
            title = read_results(source).about["setting"]["title"]
            rows.append({"place": index, "title": title})
    return rows


def read_results(source: Source) -> Results:
    """The results of a source; InvalidValue if there are none. Changed files are read again."""
    if isinstance(source, str):
        return _of_measured(source)
    try:
        status = source.stat()
        changed = status.st_mtime_ns, status.st_size
    except OSError:  # `_read` reports it
        changed = 0, 0
    return _read(source, changed)


@cache
def _of_measured(name: str) -> Results:
    return _checked(measured_part("experiments")[name])


@lru_cache(maxsize=8)
def _read(path: Path, _changed: tuple[int, int]) -> Results:
    remedy = "`dppa reproduce` of the laboratory makes them; DPPA_EXPERIMENTS names another file."
    try:
        results = _checked(json.loads(path.read_text("utf-8")))
    except FileNotFoundError as error:
        raise InvalidValue(f"There are no results at {path.name}. {remedy}") from error
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidValue(
            f"{path.name} cannot be read: {error}. A file of another version is the usual cause; "
            f"{remedy}"
        ) from error
    if not results.experiments:
        raise InvalidValue(f"{path.name} holds no experiment. {remedy}")
    return results


def _checked(value: object) -> Results:
    if not isinstance(value, Mapping):
        raise ValueError("it holds no object")
    report_of(value)
    return Results({name: value[name] for name in ABOUT}, tuple(value["experiments"]))


def experiments_value(results: Results, key: str) -> dict[str, Any]:
    """The list of experiments, and one of them whole, with the merges that its points measure; its
    recipes stay on the server."""
    experiment = results.experiment(key)
    tables = [
        {**table, "rows": [{**row, "recipe": _can_be_set(row["recipe"])} for row in table["rows"]]}
        for table in experiment["tables"]
    ]
    plots = [{**plot, "places": _places(plot, tables)} for plot in experiment["plots"]]
    heads = [{name: row[name] for name in HEAD} for row in results.experiments]
    shown = {**experiment, "tables": tables, "plots": plots}
    return {"list": heads, "about": results.about, "shown": shown}


def _places(plot: Fields, tables: Sequence[Fields]) -> list[list[list[int] | None]]:
    """[table, row] of the merge that each point of a chart measures: the row whose first two cells,
    as "DPPA" and 80, are in the names of the point, as "DPPA" and "80 %"."""
    if plot["kind"] == "heatmap":
        return list(plot.get("places", ()))  # files of earlier versions have none
    merges = {
        _words(*(cell["value"] for cell in row["cells"][:2])): [t, r]
        for t, table in enumerate(tables)
        for r, row in enumerate(table["rows"])
        if row["recipe"]
    }

    def place(name: str, x: float | str) -> list[int] | None:
        named = [words for words in merges if words <= _words(name, x)]
        return merges[max(named, key=len)] if named else None

    return [[place(line["name"], x) for x in line["x"]] for line in plot["series"]]


def _words(*names: float | str | None) -> frozenset[str]:
    texts = (f"{name:g} %" if isinstance(name, int | float) else name or "" for name in names)
    return frozenset(", ".join(texts).split(", "))


def _can_be_set(recipe: str | None) -> bool:
    """Return True if the page can show a row's merge and its models are on this machine: models of
    a run elsewhere are missing, and some are not fetched yet."""
    if not recipe:
        return False
    merge = parse_recipe(recipe)
    try:
        session_from_recipe(merge, 0)
    except InvalidValue:
        return False
    names = (merge.base, *(model.model for model in merge.models))
    embedded = {f"zoo:{name}" for name in zoo_names()}
    return all(
        name in embedded if name.startswith("zoo:") else ":" in name or Path(name).is_dir()
        for name in names
    )


def row_state(results: Results, request: Fields) -> dict[str, Any]:
    """The state of a session that makes the merge of a row: {"key", "table", "row"}, from 0. Raises
    InvalidValue if there is no such row, it has no recipe, or the page cannot show it."""
    tables = results.experiment(str(request.get("key")))["tables"]
    table, row = (request.get(name) for name in ("table", "row"))
    try:
        recipe = tables[_index(table)]["rows"][_index(row)]["recipe"]
    except IndexError as error:
        raise InvalidValue(f"There is no row {row} of table {table}.") from error
    if not recipe:
        raise InvalidValue("This row has no merge of its own.")
    return state_of(session_from_recipe(parse_recipe(recipe), 0))


def _index(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidValue(f"A place in a list must be a whole number from 0, got {shown(value)}.")
    return value


def add_experiments(sources: Sequence[Source]) -> None:
    """Add an empty view: the browser requests its content once it is open, and sets the controls to
    a row's merge. Errors appear in the view.

    Args:
        sources: One for each set of models.
    """
    with gr.Column(elem_id="experiments-view", elem_classes=["view", "box"]):
        view = live("experiments", None, events=("look", "take"))

    def reply(
        values: dict[Any, Any], answer: Callable[[Results, Fields], dict[str, Any]]
    ) -> dict[Any, Any]:
        try:
            request = asked_keys(values[view])
            return {view: pack(answer(results_of(sources, request), request))}
        except DppaError as error:
            return {view: pack({"refused": str(error)})}

    def show(results: Results, request: Fields) -> dict[str, Any]:
        key = str(request.get("key", ""))
        if request.get("or_first") and key not in {row["key"] for row in results.experiments}:
            key = ""
        value = experiments_value(results, key)
        index = request.get("models", 0)
        return {**value, "models": readable_sources(sources), "chosen": index}

    def take(results: Results, request: Fields) -> dict[str, Any]:
        return {"take": row_state(results, request), "asked": request}

    def on_experiment(values: dict[Any, Any]) -> dict[Any, Any]:
        return reply(values, show)

    def on_experiment_row(values: dict[Any, Any]) -> dict[Any, Any]:
        return reply(values, take)

    quick = {"queue": False, "trigger_mode": "always_last", **PRIVATE}
    view.look(on_experiment, inputs={view}, outputs=[view], **quick)
    view.take(on_experiment_row, inputs={view}, outputs=[view], **quick)
