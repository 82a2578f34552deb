"""Opens a new or stored Optuna study, queues its first trials, and reads its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from dppa_core.errors import DppaError, InvalidValue
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.state_file import differences
from dppa_core.tuning.search.options import LOWER, SearchOptions
from dppa_core.tuning.search.results import SearchTrial
from dppa_core.tuning.search.space import (
    SearchParameter,
    Value,
    applies,
    recipe_with,
    short_name,
)

STARTUP_TRIALS = 5
"""Complete trials before any is pruned."""
_MADE_BY = "made_by"
_WHY = "why"
"""The attribute that holds a failed trial's error; stopped trials have none."""
Storage = Path | optuna.storages.BaseStorage | None
"""An SQLite database, an open storage, or memory."""


def open_study(
    recipe: MergeRecipe,
    options: SearchOptions,
    made_by: Mapping[str, Any],
    storage: Storage,
    name: str,
) -> optuna.Study:
    """The study with this name; a new one first tries the given recipe, a grid all of its cells.

    No other process may work on it: its running trials count as killed, and are queued again.

    Args:
        made_by: Everything that its scores depend on, beside its options.

    Raises:
        InvalidValue: it cannot be opened, or belongs to another search.
    """
    study, parameters = _opened(options, storage, name), options.parameters(recipe)
    facts = {
        **made_by,
        "vary": [parameter.text() for parameter in parameters],
        "objectives": list(options.objectives),
    }
    saved = study.user_attrs.get(_MADE_BY)
    if saved is None:
        study.set_user_attr(_MADE_BY, facts)
    elif changes := differences(saved, facts):
        raise InvalidValue(
            f"The study is that of another search ({changes}). Name another one (--name), or "
            "another file (--study)."
        )
    if options.grid:
        down, across = parameters
        for first in down.values():
            for second in across.values():
                study.enqueue_trial({down.name: first, across.name: second}, skip_if_exists=True)
    elif saved is None and (values := values_of(recipe, parameters)):
        study.enqueue_trial(values)  # so the best trial is no worse on these items
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        give_up(study, trial.number, trial.params)
    return study


def is_pruned(options: SearchOptions) -> bool:
    """Return True if hopeless trials end early; every cell of a grid is scored on all domains."""
    return options.prune and not options.grid


def _opened(options: SearchOptions, storage: Storage, name: str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if is_pruned(options) and len(options.objectives) == 1:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS)
    try:
        return optuna.create_study(
            storage=f"sqlite:///{storage}" if isinstance(storage, Path) else storage,
            study_name=name,
            pruner=pruner,
            directions=["minimize" if n in LOWER else "maximize" for n in options.objectives],
            load_if_exists=True,
        )
    except (ImportError, SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        raise InvalidValue(f"The study cannot be opened ({_one_line(error)}).") from error


def _one_line(error: Exception) -> str:
    """An error's text, at most 200 characters."""
    return " ".join(str(error).split())[:200]


def fail(study: optuna.Study, trial: Trial, error: Exception) -> None:
    """End a trial with an error."""
    trial.set_user_attr(_WHY, _one_line(error))
    study.tell(trial, state=TrialState.FAIL)


def give_up(study: optuna.Study, number: int, values: Mapping[str, Any]) -> None:
    """End a trial without a result, and queue its values."""
    study.tell(number, state=TrialState.FAIL)
    if values:
        study.enqueue_trial(dict(values))


def has_ended(trial: FrozenTrial) -> bool:
    """Return True if a trial ended by itself, not by a stop."""
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or _WHY in trial.user_attrs


def ended_trial(trial: FrozenTrial, *, remembered: bool = False) -> SearchTrial:
    """An Optuna trial in plain values."""
    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    attributes = trial.user_attrs
    return SearchTrial(
        trial.number,
        dict(trial.params),
        str(attributes.get("recipe", "")),
        tuple(trial.values) if trial.state == TrialState.COMPLETE else (),
        dict(attributes.get("retentions", {})),
        states.get(trial.state, "failed"),
        density=float(attributes.get("density", 0.0)),
        why=str(attributes.get(_WHY, "")),
        remembered=remembered,
    )


def values_of(recipe: MergeRecipe, parameters: Sequence[SearchParameter]) -> dict[str, Value]:
    """A recipe's values of the search parameters; empty if the search cannot reach it."""
    values: dict[str, Value] = {}
    for parameter in parameters:
        if not applies(parameter.name, recipe, recipe.method):
            continue
        value = _value_of(recipe, parameter.name)
        if value is None or not _reaches(parameter, value):
            return {}
        values[parameter.name] = value
    try:
        same = recipe_hash(recipe_with(recipe, values)) == recipe_hash(recipe)
    except DppaError:
        same = False
    return values if same else {}


def _reaches(parameter: SearchParameter, value: Value) -> bool:
    """Return True if a search of the parameter may try the value."""
    if parameter.choices:
        return value in parameter.choices
    if isinstance(value, str) or not parameter.low <= value <= parameter.high:
        return False
    steps = (value - parameter.low) / parameter.step if parameter.step else 0.0
    return abs(steps - round(steps)) < 1e-6


def _value_of(recipe: MergeRecipe, name: str) -> Value | None:
    """A recipe's value of one search parameter; None if it has none."""
    first = recipe.models[0]
    if name == "method":
        return recipe.method
    value: Any = getattr(recipe.settings(), name, None)
    if value is None and recipe.prune:
        value = getattr(recipe.prune.settings(), name, None)
    if name == "rate":
        value = first.levels[-1]
    elif name == "levels":
        value = len(first.levels)
    elif name == "coefficient":
        value = first.coefficient
    elif name.startswith("coefficient."):
        models = [m for m in recipe.models if short_name(m) == name.partition(".")[2]]
        value = models[0].coefficient if models else None
    elif name.startswith("factor"):
        band = int(name.removeprefix("factor") or 1) - 1
        value = first.amplification[band] if band < len(first.amplification) else None
    return value if isinstance(value, int | float | str) else None
