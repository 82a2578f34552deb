"""Checked requests of a search, and the names of its settings as on the sliders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dppa_core.errors import InvalidValue, shown
from dppa_core.parameter_fields import check_number
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tasks import DOMAINS, OwnDomain
from dppa_core.tuning.search.axes import axes_of
from dppa_core.tuning.search.joint import usual_settings
from dppa_core.tuning.search.space import parse_knobs

from ...session.session import Session
from .own_lists import OwnLists

WAYS = ("joint", "climb", "optuna", "grid")
RANGES: Mapping[str, str] = {
    "rate": "rate=0.5:0.95:0.01",
    "factors": "factors=0:2:0.1",
    "coefficients": "coefficients=0.3:1.5:0.05",
    "strength": "strength=0:0.3:0.01",
    "levels": "levels=1:4",
    "method": "method=dppa,magnitude,dare,ties",
    "significance": "significance=magnitude,fisher,activation",
}
"""Settings that Optuna may vary, and their ranges."""
VALUES: Mapping[str, str] = {
    "rate": "rate=0.6,0.7,0.8,0.9,0.95",
    "factor": "factor=0.8,1,1.2,1.4,1.6",
    "factor1": "factor1=0.8,1,1.2,1.4,1.6",
    "factor2": "factor2=0,0.5,1,1.5,2",
    "coefficient": "coefficient=0.4,0.6,0.8,1,1.2",
    "strength": "strength=0,0.04,0.08,0.16,0.3",
}
"""Settings for the axes of a grid, and their values."""
GOALS: Mapping[str, tuple[str, ...]] = {
    "retention": ("retention",),
    "both": ("retention", "density"),
    "worst": ("worst",),
    **{domain: (f"retention.{domain}",) for domain in DOMAINS},
}
ITEMS, TRIALS = (8, 96), (5, 60)

_WORDS = {
    "factor": "every band ×",
    "factor1": "strongest band ×",
    "factor2": "next band ×",
    "coefficient": "coefficient ×",
    "factors": "factors ×",
    "coefficients": "coefficients ×",
}
_GOALS = {
    "retention": "retention, mean of the domains",
    "both": "retention, and fewer parameters",
    "worst": "the lowest retention of a domain",
}


def goal_words(name: str) -> str:
    """Goals of a search; a domain's name stands for that domain's retention."""
    return _GOALS.get(name, f"retention of {name}")


def knob_words(name: str) -> str:
    """A setting's name on its slider; a number follows it."""
    what, _, whose = name.partition(".")
    if whose:
        return f"{knob_words(what).removesuffix(' ×')} of {whose} ×"
    if name.startswith("factor") and name.removeprefix("factor").isdigit():
        return _WORDS.get(name, f"band {name.removeprefix('factor')} ×")
    return _WORDS.get(name, name)


def value_text(name: str, value: float | str) -> str:
    """A setting's value as on the sliders: a rate in percent."""
    if isinstance(value, str):
        return value
    return f"{100 * value:g}\u202f%" if name == "rate" else f"{value:g}"


def range_words(text: str) -> str:
    """The setting and range of `rate=0.5:0.95:0.01`: rate 50–95 %."""
    name, _, values = text.partition("=")
    if "," in values:
        return f"{name}: {values.replace(',', ', ')}"
    low, high = (float(one) for one in values.split(":")[:2])
    least = value_text(name, low).removesuffix("\u202f%")
    return f"{knob_words(name)} {least}–{value_text(name, high)}"


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A checked request."""

    session: Session
    recipe: MergeRecipe
    way: str
    limit: int
    """Search items a domain."""
    vary: tuple[str, ...] = ()
    goals: tuple[str, ...] = ("retention",)
    trials: int = 0
    per_model: bool = False
    """Whether a joint search chooses factors of each model."""
    own: tuple[OwnDomain, ...] = ()
    """A visitor's own questions in place of the embedded ones, a list for each model."""

    @property
    def tasks(self) -> list[str] | None:
        """The domains it goes by; None for those of the models."""
        return list(self.own) or None

    @property
    def contents(self) -> str:
        """Differs for other own questions, whose domains are equal by name."""
        return " ".join(one.digest for one in self.own)


def read_hunt(given: Mapping[str, Any], session: Session) -> SearchRequest:
    """Check the values of a handler, by names of controls. Raises InvalidValue: a value that no
    control offers, or a grid with two equal axes."""
    way = given["way"]
    if way not in WAYS:
        raise InvalidValue(f"Search by one of {', '.join(WAYS)}; got {shown(way)}.")
    limit = int(check_number("Questions", given["limit"], *ITEMS))
    recipe, goals, trials = session.recipe(), GOALS["retention"], 0
    vary: tuple[str, ...] = ()
    per_model = way == "joint" and given["per_model"] is True
    if way == "joint":
        trials = usual_settings(axes_of(recipe, per_model=per_model))
    if way == "optuna":
        chosen = given["vary"] if isinstance(given["vary"], list) else []
        vary = tuple(RANGES[_one_of("Vary", name, RANGES)] for name in chosen)
        if not vary:
            raise InvalidValue("Tick at least one setting that the search may vary.")
        goals = GOALS[_one_of("Search for", given["goals"], GOALS)]
        trials = int(check_number("Trials", given["trials"], *TRIALS))
    if way == "grid":
        sides = [_one_of("A side of the grid", given[key], VALUES) for key in ("down", "across")]
        if sides[0] == sides[1]:
            raise InvalidValue(f"A grid has two different settings; both sides are {sides[0]}.")
        vary = tuple(VALUES[side] for side in sides)
    if vary:
        parse_knobs(vary, recipe)
    return SearchRequest(session, recipe, way, limit, vary, goals, trials, per_model)


def lists_of_models(lists: OwnLists, recipe: MergeRecipe) -> tuple[OwnDomain, ...]:
    """The list of each model of a merge; InvalidValue for a model without, or an empty half."""
    found = lists.of_each(tuple(model.model for model in recipe.models))
    for domain in found:
        for split in ("search", "test"):
            domain.of_split(split)
    return found


def _one_of(what: str, value: object, known: Mapping[str, Any]) -> str:
    if not isinstance(value, str) or value not in known:
        raise InvalidValue(f"{what} must be one of {', '.join(known)}; got {shown(value)}.")
    return value
