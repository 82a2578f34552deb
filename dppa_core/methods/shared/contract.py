"""What a merge method is: its name, its settings, and what it does.

Knows no method; each is described in a file of its own, `registry` collects them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from dppa_core.methods.shared.stack import Combination
from dppa_core.methods.shared.treatment import Request, Treatments
from dppa_core.pruning.coefficients import Coefficient
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.density import Override
from dppa_core.pruning.plan import PruningPlan

Coefficients = Sequence[tuple[str, Coefficient]]
"""Reference and merging coefficient of every domain model of a recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way of turning deltas into a merged model: by treatments, or by a combination."""

    name: str
    """The word in recipes."""
    title: str
    paper: str
    """arXiv number, or empty."""
    summary: str
    """One sentence for people."""
    parameters: type[Any]
    """Frozen dataclass whose fields describe themselves (title, help, unit, range)."""
    treat: Callable[[Request, Any], Treatments] | None = None
    """What is done to the delta of each domain model; the results are added up."""
    combination: Combination | None = None
    """Or how one delta is made of all of them."""
    levels: Literal["many", "one", "none"] = "none"
    """How many pruning rates a domain model may have; "none" wants [0]."""
    needs_profile: bool = False
    check: Callable[[Any, Coefficients], None] | None = None
    """Raises InvalidValue where a recipe's models do not suit the method."""

    @property
    def prunes(self) -> bool:
        """Whether it makes single deltas sparse, and so may come before a combination."""
        return self.treat is not None and self.levels != "none"

    def plan(
        self,
        profile: DeltaProfile,
        levels: tuple[float, ...],
        settings: Any,
        overrides: Mapping[str, Override] | None = None,
    ) -> PruningPlan | None:
        """What it will keep of one domain model; None where that is not known before the merge.

        Args:
            profile: Of the pair.
            levels: Pruning rates, strictly falling.
            settings: The method's own parameters.
            overrides: Module name -> rate of its own.

        Raises:
            InvalidValue: levels out of range or not falling, or settings that do not suit them.
            UnknownName: an override for a module there is not.
        """
        if self.treat is None:
            return None
        modules = tuple(item.module for item in profile.modules)
        request = Request(modules, levels, (1.0,) * len(levels), profile, overrides or {})
        return self.treat(request, settings).plan


def method_values(method: Method) -> dict[str, Any]:
    """A method as plain values, its parameters in their order."""
    return {
        "name": method.name,
        "title": method.title,
        "paper": method.paper,
        "summary": method.summary,
        "levels": method.levels,
        "combines": method.combination is not None,
        "parameters": [
            {"name": field.name, "default": field.default, **field.metadata}
            for field in fields(method.parameters)
        ],
    }


def paper_address(method: Method) -> str:
    """Where its paper is; empty where it has none."""
    number = method.paper.removeprefix("arXiv:")
    return f"https://arxiv.org/abs/{number}" if number else ""
