"""A whole session as one small JSON value, for links, presets and the page's history.

The form has a version, and every value is checked, because anybody can write a link.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dppa_core.errors import InvalidValue, closest, shown
from dppa_core.pruning.partition import even_levels

from .fields import COEFFICIENT, CONTROLS, FACTOR, MOST_PARTITIONS, Control
from .json_form import (
    factors_from_json,
    factors_json,
    models_from_json,
    models_json,
    overrides_from_json,
    overrides_json,
    parsed_keys,
    shares_from_json,
)
from .method_choice import DPPA, MethodChoice, method_from_json, method_json
from .session import Session, default_of

VERSION = 1
_BESIDE_MODELS = tuple(control for control in CONTROLS if (control.part or control.key) != "models")
_KEYS = ("v", *(control.key for control in CONTROLS))
_UNUSED = {"shares": [], "method": method_json(MethodChoice(DPPA)), "overrides": {}}
"""Values that are left out of a state."""
_OF_SCRIPTS = (
    *("key", "title", "element", "changes", "span", "scale"),
    *("choices", "of_pruning", "hidden_by"),
)
"""Columns of a control that scripts read."""

READERS: Mapping[str, Callable[[object], dict[str, Any]]] = {
    "models": models_from_json,
    "shares": lambda value: {"shares": shares_from_json(value)},
    "amplify": factors_from_json,
    "method": lambda value: {"method": method_from_json(value)},
    "overrides": lambda value: {"overrides": overrides_from_json(value)},
}
"""Control -> its JSON value as keyword arguments of Session, for those that are no plain value."""
WRITERS: Mapping[str, Callable[[Session], Any]] = {
    "models": models_json,
    "partitions": lambda session: len(session.bands),
    "shares": lambda session: list(session.shares),
    "amplify": factors_json,
    "method": lambda session: method_json(session.method),
    "overrides": overrides_json,
}


def value_of(session: Session, control: Control) -> Any:
    """The JSON value of a control; for a slider, as the session holds it."""
    write = WRITERS.get(control.key)
    return write(session) if write else getattr(session, control.name)


def state_of(session: Session) -> dict[str, Any]:
    """A session as plain values; `session_from_state` reads it back to an equal one. Rates are
    shares: 0.8 drops 80 %. Empty values, and DPPA with default settings, are left out."""
    state = {"v": VERSION, **models_json(session)}
    state |= {control.key: value_of(session, control) for control in _BESIDE_MODELS}
    listed = {model.reference for model in session.models}
    factors = state["amplify"]["own"]
    state["amplify"]["own"] = {name: row for name, row in factors.items() if name in listed}
    return {key: value for key, value in state.items() if value != _UNUSED.get(key)}


def session_from_state(value: object) -> Session:
    """Read a session from the JSON value of `state_of`; missing keys have their defaults. Raises
    DppaError: a wrong form or version, an unknown key, method or setting, a value out of range."""
    if not isinstance(value, Mapping):
        raise InvalidValue(f"A state is a mapping of keys to values, got {shown(value)}.")
    _check_version(value)
    for key in value:
        if key not in _KEYS:
            raise InvalidValue(f"A state has no key {shown(key)}. {closest(str(key), _KEYS)}")
    choices = models_from_json(value)
    state = {"amplify": {"factors": []}, **value}
    for control in _BESIDE_MODELS:
        if control.key in READERS and control.key in state:
            choices |= READERS[control.key](state[control.key])
        elif control.key in state:
            choices[control.name] = control.from_json(state[control.key])
    session = Session(**choices)
    base, replaces = session.base, session.method.method.replaces
    if not replaces and base in {model.reference for model in session.models}:
        raise InvalidValue(f"{base} is the base and a domain model as well; its delta is zero.")
    return session


def _check_version(value: Mapping[Any, Any]) -> None:
    version = value.get("v")
    if type(version) is not int or version != VERSION:  # True equals 1
        raise InvalidValue(
            f"This state has the version {shown(version)}, and this page reads version {VERSION}. "
            "A link from a newer or an older page is the usual cause."
        )


def schema() -> dict[str, Any]:
    """The controls as the page's scripts read them. Defaults are as on the page; `even_shares` are
    the ends of the inner bands that split what is kept evenly, by the number of bands."""
    rows = []
    for control in CONTROLS:
        default, row = default_of(control), {name: getattr(control, name) for name in _OF_SCRIPTS}
        plain = isinstance(default, str | float | int)
        rows.append(row | {"default": control.to_page(default) if plain else None})
    even = [even_levels(0.0, bands)[:-1] for bands in range(1, MOST_PARTITIONS + 1)]
    return {
        "version": VERSION,
        "controls": rows,
        "coefficient": COEFFICIENT,
        "factor": FACTOR,
        "even_shares": [[round(1 - level, 12) for level in levels] for levels in even],
    }


def other_session(value: object, session: Session) -> Session | None:
    """The session of the slot that is not shown, if it is another merge of the same base."""
    state = None if value is None else parsed_keys(value).get("state")
    if state is None:
        return None
    hidden = session_from_state(state)
    return None if hidden.recipe() == session.recipe() or hidden.base != session.base else hidden


def slot_names(value: object) -> tuple[str, str]:
    """Names of the merges of the two slots, as on their buttons: the shown one, and the other."""
    names = ("merge A", "merge B")
    return names[::-1] if parsed_keys(value).get("slot") == "A" else names
