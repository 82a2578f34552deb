"""The chosen merge method and its settings, checked and frozen.

Names, ranges and texts come from the methods. Only DPPA is treated specially: its sliders are
always on the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from dppa_core.errors import InvalidValue, shown
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.methods.shared.contract import Method, method_values, paper_address
from dppa_core.parameter_fields import from_mapping

from .fields import PRUNING_SETTINGS

DPPA = "dppa"
LONGEST_WORD = 500
MOST_VALUES = 20

Value = float | int | str
Shows = Literal["plan", "random", "whole"]
"""What is known before a merge: which changes stay, how many stay, or only the deltas."""


@dataclass(frozen=True, slots=True)
class MethodChoice:
    """A method and those of its settings that differ from the defaults."""

    name: str = DPPA
    values: tuple[tuple[str, Value], ...] = ()
    """(setting, value) pairs."""
    prune_first: bool = False
    """Whether DPPA prunes and amplifies before a method that combines deltas."""

    def __post_init__(self) -> None:
        values = dict(self.values)
        settings = from_mapping(self.method.parameters, values, f"settings of {self.name}")
        checked = tuple((name, getattr(settings, name)) for name in values)
        object.__setattr__(self, "values", checked)

    @property
    def method(self) -> Method:
        """The chosen method; raises UnknownName if there is none of that name."""
        return get_method(self.name)

    @property
    def staged(self) -> bool:
        """True if DPPA runs first; never with a method that does not combine deltas."""
        return self.prune_first and self.method.combination is not None

    @property
    def pruner(self) -> Method | None:
        """The method that prunes single deltas: DPPA before another, the method itself, or None."""
        if self.staged:
            return get_method(DPPA)
        return self.method if self.method.prunes else None

    @property
    def shows(self) -> Shows:
        """How much is known before a merge."""
        if self.pruner is None:
            return "whole"
        return "plan" if self.pruner.needs_profile else "random"

    @property
    def names_domain(self) -> str:
        """The setting that names a domain model, as in EMR; empty if there is none."""
        items = fields(self.method.parameters)
        return next((item.name for item in items if item.metadata.get("model")), "")

    def parameters(self, models: tuple[str, ...]) -> dict[str, Value]:
        """All settings except those of the sliders, for merged `models` with coefficients other
        than 0. The default domain is the first of them."""
        values, named = dict(self.values), self.names_domain
        result: dict[str, Any] = {}
        for item in fields(self.method.parameters):
            value = values.get(item.name, item.default)
            if item.name == named and value not in models:
                value = models[0] if models else ""
            if not _elsewhere(self.method, item.name):
                result[item.name] = value
        return result


def _elsewhere(method: Method, name: str) -> bool:
    return method.name == DPPA and name in PRUNING_SETTINGS


def catalogue() -> list[dict[str, Any]]:
    """Every method for the page: texts, settings, paper, and what is known before a merge."""
    rows = []
    for method in METHODS:
        value = method_values(method)
        for item in value["parameters"]:
            item["elsewhere"] = _elsewhere(method, item["name"])
        shows = MethodChoice(method.name).shows
        rows.append({**value, "shows": shows, "address": paper_address(method)})
    return rows


def method_json(choice: MethodChoice) -> dict[str, Any]:
    """The value of the method's form; `method_from_json` reads it back."""
    return {"method": choice.name, "values": dict(choice.values), "prune_first": choice.prune_first}


def method_from_json(value: object) -> MethodChoice:
    """Read the value of the method's form. Raises DppaError: a wrong form, an unknown method or
    setting, a value out of range."""
    form = value if isinstance(value, Mapping) else {}
    name, values = form.get("method"), form.get("values") or {}
    if not isinstance(name, str) or not isinstance(values, Mapping) or len(values) > MOST_VALUES:
        raise InvalidValue(f"The method arrived in an unreadable form: {value!r:.80}.")
    for key, item in values.items():
        if isinstance(item, bool) or not isinstance(item, int | float | str):
            raise InvalidValue(f"{shown(key)} must be a number or a word, got {shown(item)}.")
        if isinstance(item, str) and (len(item) > LONGEST_WORD or not item.isprintable()):
            raise InvalidValue(f"{shown(key)} is too long or not plain text: {shown(item)}.")
    settings = tuple((str(key), item) for key, item in values.items())
    return MethodChoice(name, settings, form.get("prune_first") is True)
