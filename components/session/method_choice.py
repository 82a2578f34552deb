"""The merge method a visitor chose and its settings, checked and frozen.

Knows no gradio: plain values in, what a recipe needs out. Names, ranges and words are the methods'
own; nothing here knows a particular one but DPPA, whose sliders stand on the page in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any, Literal

from dppa_core.errors import InvalidValue, shown
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.methods.shared.contract import Method, method_values, paper_address
from dppa_core.parameters import from_mapping

DPPA = "dppa"
SLIDERS = ("strength", "k_layer", "k_module", "significance")
"""Settings of DPPA that have controls of their own under Advanced."""
LONGEST_WORD = 500
MOST_VALUES = 20

Value = float | int | str
Shows = Literal["plan", "random", "whole"]
"""What is known before a merge: which changes stay, how many of them, or nothing but the deltas."""


@dataclass(frozen=True, slots=True)
class MethodChoice:
    """A method, and where its settings are not the defaults."""

    name: str = DPPA
    values: tuple[tuple[str, Value], ...] = ()
    """(setting, value) pairs."""
    prune_first: bool = False
    """Whether DPPA prunes and amplifies before a method that combines deltas."""

    def __post_init__(self) -> None:
        given = dict(self.values)
        settings = from_mapping(self.method.parameters, given, f"settings of {self.name}")
        checked = tuple((name, getattr(settings, name)) for name in given)
        object.__setattr__(self, "values", checked)

    @property
    def method(self) -> Method:
        """The chosen one; raises UnknownName where there is none of that name."""
        return get_method(self.name)

    @property
    def staged(self) -> bool:
        """Whether DPPA comes first: the choice counts only where a method combines deltas."""
        return self.prune_first and self.method.combination is not None

    @property
    def pruner(self) -> Method | None:
        """What makes single deltas sparse: DPPA before another, the method itself, or nothing."""
        if self.staged:
            return get_method(DPPA)
        return self.method if self.method.prunes else None

    @property
    def shows(self) -> Shows:
        """What is known before a merge."""
        if self.pruner is None:
            return "whole"
        return "plan" if self.pruner.needs_profile else "random"

    @property
    def names_domain(self) -> str:
        """The setting that names a domain model, as of EMR; empty where there is none."""
        named = [item.name for item in fields(self.method.parameters) if names_model(item)]
        return named[0] if named else ""

    def parameters(self, models: tuple[str, ...]) -> dict[str, Value]:
        """All settings but those of the sliders; a domain nobody named is the first model.

        Args:
            models: References that take part, their coefficients not 0.
        """
        given = dict(self.values)
        result: dict[str, Any] = {}
        for item in own_fields(self.method):
            value = given.get(item.name, item.default)
            if names_model(item) and value not in models:
                value = models[0] if models else ""
            result[item.name] = value
        return result


def names_model(item: Field[Any]) -> bool:
    """Whether a setting holds the reference of a domain model."""
    return bool(item.metadata.get("model"))


def own_fields(method: Method) -> tuple[Field[Any], ...]:
    """The settings a method's own form holds."""
    return tuple(item for item in fields(method.parameters) if not _elsewhere(method, item.name))


def _elsewhere(method: Method, name: str) -> bool:
    return method.name == DPPA and name in SLIDERS


def catalogue() -> list[dict[str, Any]]:
    """Every method as the page offers it: words, settings, paper, and what is known beforehand."""
    rows = []
    for method in METHODS:
        value = method_values(method)
        for item in value["parameters"]:
            item["elsewhere"] = _elsewhere(method, item["name"])
        shows = MethodChoice(method.name).shows
        rows.append({**value, "shows": shows, "address": paper_address(method)})
    return rows


def method_json(choice: MethodChoice) -> dict[str, Any]:
    """What the form of the method shows; `method_from_json` reads it back."""
    return {
        "method": choice.name,
        "values": dict(choice.values),
        "prune_first": choice.prune_first,
    }


def method_from_json(value: object) -> MethodChoice:
    """Read what the form of the method sends.

    Raises:
        DppaError: another form, an unknown method or setting, a value out of range.
    """
    if not isinstance(value, Mapping):
        raise InvalidValue(f"The method arrived in an unreadable form: {value!r:.80}.")
    name, values = value.get("method"), value.get("values") or {}
    if not isinstance(name, str) or not isinstance(values, Mapping) or len(values) > MOST_VALUES:
        raise InvalidValue(f"The method arrived in an unreadable form: {value!r:.80}.")
    for key, item in values.items():
        if isinstance(item, bool) or not isinstance(item, int | float | str):
            raise InvalidValue(f"{shown(key)} must be a number or a word, got {shown(item)}.")
        if isinstance(item, str) and (len(item) > LONGEST_WORD or not item.isprintable()):
            raise InvalidValue(f"{shown(key)} is too long or no plain text: {shown(item)}.")
    first = value.get("prune_first") is True
    return MethodChoice(name, tuple((str(key), item) for key, item in values.items()), first)
