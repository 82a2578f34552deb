"""What a merge method is: its name, its settings, and what it does.

Knows no method; each is described in a file of its own, `registry` collects them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dppa_core.coefficients import Coefficient
from dppa_core.methods.stack import Combination
from dppa_core.methods.treatment import Request, Treatments

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
