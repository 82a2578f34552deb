"""The description of a merge method: its name, its settings and its function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from dppa_core.methods.shared.stack import Combination
from dppa_core.methods.shared.treatment import Request, Treatments
from dppa_core.pruning.coefficients import Coefficient
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.plan import PruningPlan, plan_pruning
from dppa_core.pruning.pruning_parameters import Override, PruningParameters

GROUPS = {
    "linear": "Sums and means",
    "spherical": "By angle",
    "sparse": "Prune and add",
    "sign": "By sign",
    "spectral": "By direction",
    "stacked": "Stacked layers",
    "data": "By a text",
}
"""The ideas behind methods -> their titles, in the order in which lists show them."""

Group = Literal["linear", "spherical", "sparse", "sign", "spectral", "stacked", "data"]

Coefficients = Sequence[tuple[str, Coefficient]]
"""Reference and merging coefficient of every domain model of a recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A merge method: by treatments of single deltas, or by a combination of all of them."""

    name: str
    """Its name in recipes."""
    title: str
    paper: str
    """arXiv number, or empty."""
    summary: str
    """One sentence for people."""
    group: Group
    """Its idea, by which lists are ordered."""
    home: str
    """One line on when it is worth a try."""
    parameters: type[Any]
    """Frozen dataclass whose fields describe themselves (title, help, unit, range)."""
    treat: Callable[[Request, Any], Treatments] | None = None
    """Treats the delta of each domain model; the results are added."""
    replaces: bool = False
    """True if the only model's weights, so treated, take the place of the base's."""
    combination: Combination | None = None
    """Or combines all deltas into one."""
    levels: Literal["many", "one", "none"] = "none"
    """Number of pruning rates a domain model may have; "none" requires [0]."""
    pruning: Callable[[Any], PruningParameters] | None = None
    """Its settings -> those of Dynamically Pruning, if `treat` needs that plan."""
    rounds: bool = False
    """True if a recipe may ask for 16-bit arithmetic; see `merging.rounded`."""
    check: Callable[[Any, Coefficients], None] | None = None
    """Raises InvalidValue if a recipe's models do not fit the method."""

    @property
    def prunes(self) -> bool:
        """True if it makes single deltas sparse, and so may precede a combination."""
        return self.treat is not None and self.levels != "none"

    @property
    def needs_profile(self) -> bool:
        """True if it plans by profiles of the deltas."""
        return self.pruning is not None

    @property
    def named_models(self) -> tuple[str, ...]:
        """Parameters that name a model of the merge, as EMR's domain."""
        every = fields(self.parameters)
        return tuple(field.name for field in every if field.metadata.get("model"))

    def plan(
        self,
        profile: DeltaProfile,
        levels: tuple[float, ...],
        settings: Any,
        overrides: Mapping[str, Override] | None = None,
    ) -> PruningPlan | None:
        """The elements it will keep of one domain model; None if unknown before the merge.

        Raises:
            InvalidValue: levels out of range or not falling, or settings that do not fit them.
            UnknownName: an override for an unknown module.
        """
        if self.treat is None:
            return None
        overrides, plan = overrides or {}, None
        if self.pruning is not None:
            plan = plan_pruning(profile, levels, self.pruning(settings), overrides)
        modules = tuple(item.module for item in profile.modules)
        self.treat(Request(modules, levels, (1.0,) * len(levels), overrides, plan), settings)
        return plan


def method_values(method: Method) -> dict[str, Any]:
    """A method as plain values, its parameters in order."""
    return {
        "name": method.name,
        "title": method.title,
        "paper": method.paper,
        "summary": method.summary,
        "group": GROUPS[method.group],
        "home": method.home,
        "levels": method.levels,
        "combines": method.combination is not None,
        "replaces": method.replaces,
        "parameters": [
            {"name": field.name, "default": field.default, **field.metadata}
            for field in fields(method.parameters)
        ],
    }


def paper_address(method: Method) -> str:
    """The address of its paper; empty if it has none."""
    number = method.paper.removeprefix("arXiv:")
    return f"https://arxiv.org/abs/{number}" if number else ""
