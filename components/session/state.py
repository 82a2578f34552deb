"""A whole session as one small JSON value, for links, presets and the page's history.

The form has a version, and every value is checked, because anybody can write a link.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dppa_core.errors import InvalidValue, closest, shown
from dppa_core.parameter_fields import check_number

from .json_form import (
    OWN_CHOICES,
    factors_from_json,
    factors_json,
    models_from_json,
    models_json,
    overrides_from_json,
    overrides_json,
    parsed_keys,
    shares_from_json,
    whole_number,
)
from .method_choice import DPPA, MethodChoice, method_from_json, method_json
from .session import MOST_PARTITIONS, OUTLIERS, Session

VERSION = 1
_NUMBERS = {"strength": (0.0, 0.5), "k_layer": OUTLIERS, "k_module": OUTLIERS}
_KEYS = (
    *("v", "base", "models", "rate", "partitions", "shares", *_NUMBERS, "significance"),
    *("amplify", "method", "overrides", "template", *OWN_CHOICES),
)


def state_of(session: Session) -> dict[str, Any]:
    """A session as plain values; `session_from_state` reads it back to an equal one. Rates are
    shares: 0.8 drops 80 %. Empty values, and DPPA with default settings, are left out."""
    listed = {model.reference for model in session.models}
    amplify = factors_json(session)
    amplify["own"] = {name: row for name, row in amplify["own"].items() if name in listed}
    always = {
        "v": VERSION,
        **models_json(session),
        "rate": session.rate,
        "partitions": len(session.bands),
        **{name: getattr(session, name) for name in _NUMBERS},
        "significance": session.significance,
        "amplify": amplify,
    }
    sometimes = {
        "shares": list(session.shares),
        "method": method_json(session.method) if session.method != MethodChoice(DPPA) else None,
        "overrides": overrides_json(session),
    }
    return always | {name: value for name, value in sometimes.items() if value}


def session_from_state(value: object) -> Session:
    """Read a session from the JSON value of `state_of`; missing keys have their defaults. Raises
    DppaError: a wrong form or version, an unknown key, method or setting, a value out of range."""
    if not isinstance(value, Mapping):
        raise InvalidValue(f"A state is a mapping of keys to values, got {shown(value)}.")
    _check_version(value)
    for key in value:
        if key not in _KEYS:
            raise InvalidValue(f"A state has no key {shown(key)}. {closest(str(key), _KEYS)}")
    plain = Session.__dataclass_fields__
    chosen = models_from_json(value)
    base = chosen["base"]
    if base in {model.reference for model in chosen["models"]}:
        raise InvalidValue(f"{base} is the base and a domain model as well; its delta is zero.")
    numbers: dict[str, Any] = {
        name: check_number(name, value.get(name, plain[name].default), low, high)
        for name, (low, high) in _NUMBERS.items()
    }
    rate = check_number("rate", value.get("rate", 0.8), 0, 0.99, "It is the share dropped.")
    return Session(
        **chosen,
        rate=round(rate, 4),
        partitions=whole_number("partitions", value.get("partitions", 2), 1, MOST_PARTITIONS),
        shares=shares_from_json(value.get("shares", [])),
        **numbers,
        significance=str(value.get("significance", plain["significance"].default)),
        **factors_from_json(value.get("amplify", {"factors": []})),
        method=method_from_json(value["method"]) if "method" in value else MethodChoice(DPPA),
        overrides=overrides_from_json(value.get("overrides", {})),
    )


def _check_version(value: Mapping[Any, Any]) -> None:
    version = value.get("v")
    if type(version) is not int or version != VERSION:  # True equals 1
        raise InvalidValue(
            f"This state has the version {shown(version)}, and this page reads version {VERSION}. "
            "A link from a newer or an older page is the usual cause."
        )


def other_session(value: object, session: Session) -> Session | None:
    """The session of the slot that is not shown, if it is another merge of the same base."""
    state = None if value is None else parsed_keys(value).get("state")
    if state is None:
        return None
    other = session_from_state(state)
    return None if other.recipe() == session.recipe() or other.base != session.base else other


def slot_names(value: object) -> tuple[str, str]:
    """Names of the merges of the two slots, as on their buttons: the shown one, and the other."""
    names = ("merge A", "merge B")
    return names[::-1] if parsed_keys(value).get("slot") == "A" else names
