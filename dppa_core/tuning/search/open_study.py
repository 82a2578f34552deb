"""Opens a new or stored Optuna study, and queues its first trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from dppa_core.errors import DppaError, InvalidValue
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.state_file import differences
from dppa_core.tuning.search.space import SearchParameter, Value, applies, settled, short_name
from dppa_core.tuning.search.studied import StudySettings, direction

STARTUP = 5
"""Complete trials before any is pruned."""
_MADE_BY = "made_by"


def open_study(
    recipe: MergeRecipe,
    settings: StudySettings,
    made_by: Mapping[str, Any],
    storage: str | optuna.storages.BaseStorage | None,
    name: str,
) -> optuna.Study:
    """The study with this name; a new one first tries the given recipe, a grid all of its cells.

    Raises:
        InvalidValue: it cannot be opened, or belongs to another search.
    """
    study = _opened(settings, storage, name)
    facts = {
        **made_by,
        "vary": [knob.told() for knob in settings.knobs],
        "objectives": list(settings.goals),
    }
    known = study.user_attrs.get(_MADE_BY)
    if known is None:
        study.set_user_attr(_MADE_BY, facts)
    elif other := differences(known, facts):
        raise InvalidValue(
            f"The study is that of another search ({other}). Name another one (--name), or "
            "another file (--study)."
        )
    if settings.every:
        one, two = settings.knobs
        for first in one.values():
            for second in two.values():
                study.enqueue_trial({one.name: first, two.name: second}, skip_if_exists=True)
    elif known is None:  # so the best trial is no worse on these items
        as_given = settings_of(recipe, settings.knobs)
        if as_given:
            study.enqueue_trial(as_given)
    return study


def _opened(
    settings: StudySettings, storage: str | optuna.storages.BaseStorage | None, name: str
) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if settings.prune and not settings.every and len(settings.goals) == 1:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
    try:
        return optuna.create_study(
            storage=storage,
            study_name=name,
            pruner=pruner,
            directions=[direction(goal) for goal in settings.goals],
            load_if_exists=True,
        )
    except (ImportError, SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        raise InvalidValue(f"The study cannot be opened ({one_line(error)}).") from error


def one_line(error: Exception) -> str:
    """An error's text, at most 200 characters."""
    return " ".join(str(error).split())[:200]


def take_up_killed(study: optuna.Study) -> None:
    """Queue the settings of trials whose process was killed.

    Only for a study that no other process works on: its running trials would count as killed.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(dict(trial.params))


def settings_of(recipe: MergeRecipe, knobs: Sequence[SearchParameter]) -> dict[str, Value]:
    """A recipe's values of the search parameters; empty if the search cannot reach it."""
    values: dict[str, Value] = {}
    for knob in knobs:
        if not applies(knob.name, recipe, recipe.method):
            continue
        value = _setting(recipe, knob.name)
        inside = value in knob.choices if knob.choices else _reachable(value, knob)
        if value is None or not inside:
            return {}
        values[knob.name] = value
    try:
        same = recipe_hash(settled(recipe, values)) == recipe_hash(recipe)
    except DppaError:
        same = False
    return values if same else {}


def _reachable(value: Value | None, knob: SearchParameter) -> bool:
    if not isinstance(value, int | float) or not knob.low <= value <= knob.high:
        return False
    steps = (value - knob.low) / knob.step if knob.step else 0.0
    return abs(steps - round(steps)) < 1e-6


def _setting(recipe: MergeRecipe, name: str) -> Value | None:
    """One setting of a recipe; None if it has none."""
    first = recipe.models[0]
    if name == "method":
        return recipe.method
    found: Any = getattr(recipe.settings(), name, None)
    if found is None and recipe.prune:
        found = getattr(recipe.prune.settings(), name, None)
    if name == "rate":
        found = first.levels[-1]
    elif name == "levels":
        found = len(first.levels)
    elif name == "coefficient":
        found = first.coefficient
    elif name.startswith("coefficient."):
        named = [one for one in recipe.models if short_name(one) == name.partition(".")[2]]
        found = named[0].coefficient if named else None
    elif name.startswith("factor"):
        place = int(name.removeprefix("factor") or 1) - 1
        found = first.amplification[place] if place < len(first.amplification) else None
    return found if isinstance(found, int | float | str) else None
