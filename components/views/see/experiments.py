"""Results of the paper's experiments, as `dppa reproduce` wrote them.

A button sets the controls to the merge of a row. assets/js/plots/experiments.js draws the view.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
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
        """An experiment by its key, the first one without a key; InvalidValue for an unknown
        key."""
        for one in self.experiments:
            if key in ("", one["key"]):
                return one
        raise InvalidValue(f"No experiment {shown(key)} is among the results.")


Answer = Callable[[Results, Mapping[str, Any]], dict[str, Any]]


def results_of(sources: Sequence[Source], asked: Mapping[str, Any]) -> Results:
    """The results of the chosen models: {"models": place of their source}, the first if unset.
    InvalidValue: see `read_results`, or there are no such models."""
    place = _place(asked.get("models", 0))
    if place >= len(sources):
        raise InvalidValue(f"No models {place}: there are results of {many(len(sources), 'set')}.")
    return read_results(sources[place])


def listed(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """Title and place of the models whose results can be read."""
    found = []
    for place, source in enumerate(sources):
        try:
            found.append({"place": place, "title": read_results(source).about["setting"]["title"]})
        except InvalidValue:  # told when they are asked for
            continue
    return found


def read_results(source: Source) -> Results:
    """The results of a source; InvalidValue if there are none, or a file is not such a result.
    A file is read again when it has changed."""
    if isinstance(source, str):
        return _of_measured(source)
    try:
        status = source.stat()
        changed = status.st_mtime_ns, status.st_size
    except OSError:  # told when it is read
        changed = 0, 0
    return _read(source, changed)


@cache
def _of_measured(name: str) -> Results:
    return _checked(measured_part("experiments")[name])


@lru_cache(maxsize=8)
def _read(path: Path, _changed: tuple[int, int]) -> Results:
    remedy = "`dppa reproduce` of the laboratory makes them; DPPA_EXPERIMENTS names another file."
    try:
        found = _checked(json.loads(path.read_text("utf-8")))
    except FileNotFoundError as error:
        raise InvalidValue(f"There are no results at {path.name}. {remedy}") from error
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidValue(
            f"{path.name} cannot be read: {error}. A file of another version is the usual cause; "
            f"{remedy}"
        ) from error
    if not found.experiments:
        raise InvalidValue(f"{path.name} holds no experiment. {remedy}")
    return found


def _checked(value: object) -> Results:
    if not isinstance(value, Mapping):
        raise ValueError("it holds no object")
    report_of(value)
    return Results({name: value[name] for name in ABOUT}, tuple(value["experiments"]))


def shown_value(results: Results, key: str) -> dict[str, Any]:
    """The list of experiments, and one of them whole; its recipes stay on the server."""
    one = results.experiment(key)
    tables = [
        {**table, "rows": [{**row, "recipe": _can_be_set(row["recipe"])} for row in table["rows"]]}
        for table in one["tables"]
    ]
    listed = [{name: each[name] for name in HEAD} for each in results.experiments]
    return {"list": listed, "about": results.about, "shown": {**one, "tables": tables}}


def _can_be_set(recipe: str | None) -> bool:
    """Whether the page can show a row's merge, and its models are here: not those of a run
    elsewhere, or not yet fetched."""
    if not recipe:
        return False
    merge = parse_recipe(recipe)
    try:
        session_from_recipe(merge, 0)
    except InvalidValue:
        return False
    names = (merge.base, *(model.model for model in merge.models))
    here = {f"zoo:{name}" for name in zoo_names()}
    return all(
        name in here if name.startswith("zoo:") else ":" in name or Path(name).is_dir()
        for name in names
    )


def row_state(results: Results, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The state of a session that makes the merge of a row: {"key", "table", "row"}, from 0. Raises
    InvalidValue if there is no such row, it has no recipe, or the page cannot show it."""
    tables = results.experiment(str(asked.get("key")))["tables"]
    table, row = (asked.get(name) for name in ("table", "row"))
    try:
        recipe = tables[_place(table)]["rows"][_place(row)]["recipe"]
    except IndexError as error:
        raise InvalidValue(f"There is no row {row} of table {table}.") from error
    if not recipe:
        raise InvalidValue("This row has no merge of its own.")
    return state_of(session_from_recipe(parse_recipe(recipe), 0))


def _place(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidValue(f"A place in a list must be a whole number from 0, got {shown(value)}.")
    return value


def add_experiments(sources: Sequence[Source]) -> None:
    """An empty view; the browser requests its content when it is shown, and sets the controls to a
    row's merge. Errors appear in the view.

    Args:
        sources: One for each set of models.
    """
    with gr.Column(elem_id="experiments-view", elem_classes=["view", "box"]):
        view = live("experiments", None, events=("look", "take"))

    def told(values: dict[Any, Any], answer: Answer) -> dict[Any, Any]:
        try:
            asked = asked_keys(values[view])
            return {view: pack(answer(results_of(sources, asked), asked))}
        except DppaError as error:
            return {view: pack({"refused": str(error)})}

    def look(results: Results, asked: Mapping[str, Any]) -> dict[str, Any]:
        key = str(asked.get("key", ""))
        if asked.get("or_first") and key not in {one["key"] for one in results.experiments}:
            key = ""
        found = shown_value(results, key)
        return {**found, "models": listed(sources), "chosen": asked.get("models", 0)}

    def on_experiment(values: dict[Any, Any]) -> dict[Any, Any]:
        return told(values, look)

    def on_experiment_row(values: dict[Any, Any]) -> dict[Any, Any]:
        return told(
            values, lambda all_of, asked: {"take": row_state(all_of, asked), "asked": asked}
        )

    quick = {"queue": False, "trigger_mode": "always_last", **PRIVATE}
    view.look(on_experiment, inputs={view}, outputs=[view], **quick)
    view.take(on_experiment_row, inputs={view}, outputs=[view], **quick)
