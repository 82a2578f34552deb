"""Options of a search from a file or a mapping, and a search with a line for each trial."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dppa_core.cli.search_text import trial_line
from dppa_core.errors import InvalidRecipe, InvalidValue, shown
from dppa_core.parameter_fields import check_keys, check_number
from dppa_core.recipes.plain_yaml import read_mapping as read_yaml
from dppa_core.recipes.yaml_text import MergeRecipe, load_text
from dppa_core.tuning.search.options import (
    MOST_TRIALS,
    SearchOptions,
    checked_options,
    options_for,
)

if TYPE_CHECKING:
    from dppa_core.cli.cluster import ExamPlace
    from dppa_core.tuning.search.results import SearchResult, SearchTrial

_KEYS = ("way", "vary", "grid", "objectives", "trials", "sampler", "seed")
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:(/|$)")
"""The address of a database, as a path: without the second slash. A drive has one letter."""


def check_study(study: Path | None) -> None:
    """Raise InvalidValue for the address of a database in the place of a file."""
    if study is not None and _ADDRESS.match(str(study)):
        raise InvalidValue(
            f"--study takes a file, not the address of a database, got {shown(str(study))}. Name "
            "the file alone, as study.db; it is a database of SQLite."
        )


def settled_options(
    options: SearchOptions, space: Path | None, recipe: MergeRecipe
) -> SearchOptions:
    """The options with those of a file, and with the defaults of their way.

    Raises:
        InvalidRecipe: a file that cannot be read, or says something else.
        InvalidValue: options that do not go together, or a file that varies nothing.
    """
    settled = checked_options(_from_file(space, options) if space else options)
    if space and settled.way == "climb":
        settled.parameters(recipe)  # raises: nothing is varied
    return settled


def _from_file(path: Path, options: SearchOptions) -> SearchOptions:
    """The options with those of a file, under `search:`; raises InvalidRecipe, naming the path."""

    def read(text: str) -> SearchOptions:
        settings = read_yaml(text).get("search")
        if not isinstance(settings, Mapping):
            raise InvalidRecipe("the key 'search' must be a mapping, as `search: {vary: …}`.")
        check_keys(settings, _KEYS, "search")
        values: dict[str, Any] = {
            key: parameter_texts(key, settings[key]) for key in ("vary", "grid") if key in settings
        }
        if "way" in settings:
            if settings["way"] != "joint":
                raise InvalidRecipe(
                    f"way may be joint, got {shown(settings['way'])}. The others: vary, grid."
                )
            values["joint"] = True
        if "sampler" in settings:
            values["sampler"] = settings["sampler"]
        if "objectives" in settings:
            values["objectives"] = tuple(map(str, _listed(settings["objectives"])))
        for key in ("trials", "seed"):
            if key in settings:
                values[key] = int(check_number(key, settings[key], 0, MOST_TRIALS))
        return replace(options, **values)

    return load_text(path, read)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def parameter_texts(key: str, value: Any) -> tuple[str, ...]:
    """Parameters and ranges of a mapping, as of a file, in the form of options."""
    if not isinstance(value, Mapping):
        raise InvalidRecipe(f"{key} must map settings to ranges, got {shown(value)}.")
    return tuple(
        f"{name}={','.join(map(str, _listed(values)))}" if values is not None else str(name)
        for name, values in value.items()
    )


def search_in_lines(
    recipe: MergeRecipe,
    options: SearchOptions,
    place: ExamPlace,
    tasks: Sequence[str] | None,
    say: Callable[[str], None],
    state: Path | None,
    name: str = "dppa",
) -> SearchResult:
    """Search, with a line for each new trial."""
    from dppa_core.tuning.search.search_loop import run_search  # noqa: PLC0415  (torch)

    trials, numbers = options_for(options, recipe).trials, count(1)

    def watch(trial: SearchTrial) -> None:
        number = next(numbers)  # of trials that were broken off a study keeps a number
        if not (options.in_study and trial.remembered):
            say(trial_line(trial, options, number, trials))

    return run_search(
        recipe,
        options,
        place.ask,
        tasks=tasks,
        state=state,
        name=name,
        watch=watch,
        beside=place.beside,
    )
