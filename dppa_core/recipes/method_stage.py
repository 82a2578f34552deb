"""A method with its parameters as a stage of a recipe, and the pruning before another method."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dppa_core.errors import InvalidRecipe, shown
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.parameter_fields import from_mapping, told_values
from dppa_core.recipes.checks import within


@dataclass(frozen=True, slots=True)
class Pruning:
    """A pruning of every delta before the method combines them; it uses levels and factors."""

    method: str
    """A method that makes single deltas sparse, such as dppa or dare."""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not within("prune", lambda: get_method(self.method)).prunes:
            allowed = ", ".join(method.name for method in METHODS if method.prunes)
            raise InvalidRecipe(f"prune must be one of {allowed}, got {shown(self.method)}.")
        set_fields(self, parameters=told_values(self.settings()))

    def __hash__(self) -> int:
        return hash((self.method, json.dumps(self.parameters, sort_keys=True)))

    def settings(self) -> Any:
        """The parameters as the method's own frozen dataclass."""
        return method_settings(self.method, self.parameters, "prune")


def set_fields(owner: object, **values: Any) -> None:
    """Set fields of a frozen dataclass during its construction."""
    for name, value in values.items():
        object.__setattr__(owner, name, value)


def method_settings(name: str, parameters: Mapping[str, Any], place: str) -> Any:
    """Parameters as the method's own frozen dataclass; InvalidRecipe if they are not."""
    method = within("method", lambda: get_method(name))
    return within(place, lambda: from_mapping(method.parameters, dict(parameters), place))
