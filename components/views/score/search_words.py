"""Checked requests of a search, and the names of its settings as on the sliders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dppa_core.errors import InvalidValue, shown
from dppa_core.parameter_fields import check_number
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tasks import DOMAINS, OwnDomain
from dppa_core.tuning.adamerging.settings import AdaMergeSettings
from dppa_core.tuning.search.options import SearchOptions, checked_options, options_for

from ...session.session import Session
from .own_lists import Lists, list_of_each

ADAMERGING = "adamerging"
WAYS = ("joint", "climb", "optuna", "grid", ADAMERGING)
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
STEPS, START = (10, 200), (0.0, 2.0)
CHECKPOINTS = 10
OBJECTIVES: Mapping[str, str] = {
    "entropy": "entropy: how unsure it is",
    "surprise": "surprise: what it did not expect",
    "experts": "experts: how far from each model",
}
"""Objectives of AdaMerging, and what they measure."""

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
    setting, _, model = name.partition(".")
    if model:
        return f"{knob_words(setting).removesuffix(' ×')} of {model} ×"
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
    low, high = map(float, values.split(":")[:2])
    least = value_text(name, low).removesuffix("\u202f%")
    return f"{knob_words(name)} {least}–{value_text(name, high)}"


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A checked request."""

    session: Session
    recipe: MergeRecipe
    options: SearchOptions
    questions: tuple[OwnDomain, ...] = ()
    """A visitor's own questions in place of the embedded ones, a list for each model."""
    adamerging: AdaMergeSettings = AdaMergeSettings()
    """Settings of AdaMerging, if that is asked for."""

    @property
    def tasks(self) -> list[str] | None:
        """The domains that it scores; None for those of the models."""
        return list(self.questions) or None

    @property
    def contents(self) -> str:
        """A digest of the own questions: lists with other questions have equal names."""
        return " ".join(domain.digest for domain in self.questions)


def read_search(values: Mapping[str, Any], session: Session) -> SearchRequest:
    """Check the values of a handler, by names of controls. Raises InvalidValue: a value that no
    control offers, or a grid with two equal axes."""
    way, recipe = values["way"], session.recipe()
    if way not in WAYS:
        raise InvalidValue(f"Search by one of {', '.join(WAYS)}; got {shown(way)}.")
    options = SearchOptions(limit=int(check_number("Questions", values["limit"], *ITEMS)))
    if way == "joint":
        options = replace(options, joint=True, per_model=values["per_model"] is True)
    if way == "optuna":
        names = values["vary"] if isinstance(values["vary"], list) else []
        vary = tuple(RANGES[_known_name("Vary", name, RANGES)] for name in names)
        if not vary:
            raise InvalidValue("Tick at least one setting that the search may vary.")
        goals = GOALS[_known_name("Search for", values["goals"], GOALS)]
        trials = int(check_number("Trials", values["trials"], *TRIALS))
        options = replace(options, vary=vary, objectives=goals, trials=trials)
    if way == "grid":
        down, across = (
            _known_name("A side of the grid", values[key], VALUES) for key in ("down", "across")
        )
        if down == across:
            raise InvalidValue(f"A grid has two different settings; both sides are {down}.")
        options = replace(options, grid=(VALUES[down], VALUES[across]))
    options = checked_options(options)
    settled = options if way in ("climb", ADAMERGING) else options_for(options, recipe)
    request = SearchRequest(session, recipe, settled)
    return replace(request, adamerging=_read_adamerging(values)) if way == ADAMERGING else request


def _read_adamerging(values: Mapping[str, Any]) -> AdaMergeSettings:
    """Settings that find coefficients of small models in tens of seconds."""
    steps = int(check_number("Steps", values["steps"], *STEPS))
    return AdaMergeSettings(
        per=values["per"],
        objective=values["objective"],
        start=check_number("Start", values["start"], *START),
        lr=0.02,
        steps=steps,
        batch=8,
        together=8,
        prompts=64,
        held_out=int(check_number("Questions", values["limit"], *ITEMS)),
        every=max(1, steps // CHECKPOINTS),
    )


def lists_of_models(lists: Lists, recipe: MergeRecipe) -> tuple[OwnDomain, ...]:
    """The list of each model of a merge; InvalidValue for a model without, or an empty half."""
    domains = list_of_each(lists, tuple(model.model for model in recipe.models))
    for domain in domains:
        for split in ("search", "test"):
            domain.of_split(split)
    return domains


def _known_name(control: str, value: object, names: Mapping[str, Any]) -> str:
    if not isinstance(value, str) or value not in names:
        raise InvalidValue(f"{control} must be one of {', '.join(names)}; got {shown(value)}.")
    return value
