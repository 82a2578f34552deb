"""What a merge keeps, as far as it is known before it is scored: read from what the laboratory
measured. assets/js/plots/verdict.js shows it over the plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from dppa_core.recipes.differences import with_joined_bands
from dppa_core.recipes.yaml_text import MergeRecipe, parse_recipe, recipe_hash

from ...session.from_recipe import session_from_recipe
from ...session.measured import measured_part
from ...session.presets import first_session, presets
from ...session.state import state_of

TRAINED_APART = "Trained apart: math + finance + law"
"""The preset of the models that never met."""
OTHERS = {
    "task_arithmetic": "task arithmetic",
    "dppa": "DPPA",
    "magnitude": "magnitude",
}
"""Method in the results -> how the line names it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A merge of the results."""

    recipe: str
    """Its hash."""
    models: tuple[str, ...]
    method: str
    rate: float
    searched: bool
    """Whether a search chose its factors, coefficient and strength; otherwise all are 1."""
    kept: float
    """Mean over the domains of its accuracy divided by that of the domain's own model."""
    questions: int
    """Test questions asked, all domains together."""


@cache
def measured() -> tuple[Measured, ...]:
    """Every merge of which the page can say what it keeps."""
    rows = measured_part("merges")
    return tuple(Measured(**{**row, "models": tuple(row["models"])}) for row in rows)


@dataclass(frozen=True, slots=True)
class ShownMerge:
    """A merge that a click sets, to show what the results say."""

    name: str
    """What was done."""
    kept: str
    """The share that it keeps, in percent."""
    how: str
    """Its settings in a sentence."""
    recipe: str
    """Its hash."""
    state: Mapping[str, Any]
    """The state of the session that makes it."""

    @property
    def text(self) -> str:
        """What was done, and what it keeps."""
        return f"{self.name} {self.kept}"


def shown_at() -> str:
    """The pruning rate of the merges that clicks set, in percent: the one that the page opens
    with, whatever a method keeps there."""
    return _percent(first_session().rate)


def of_other_trainings() -> str:
    """What stands beside those merges: how their models were trained, and what is kept of others.
    A figure of one training is none of pruning."""
    apart = replace(presets()[TRAINED_APART], rate=first_session().rate, partitions=2)
    beside = _beside(apart.recipe(), None)
    return f"Toys, trained once, to be merged; trained apart: {beside}."


@cache
def shown_merges() -> tuple[ShownMerge, ...]:
    """The embedded models added whole, pruned by magnitude as they are, with one factor, and by
    DPPA, each but the second with searched settings: at the rate `shown_at`."""
    return tuple(map(_shown, measured_part("clicks")))


def _shown(merge: Mapping[str, Any]) -> ShownMerge:
    session = session_from_recipe(parse_recipe(merge["recipe"]), 0)
    made, state = recipe_hash(session.recipe()), state_of(session)
    return ShownMerge(merge["name"], _percent(merge["kept"]), merge["how"], made, state)


def verdict_of(recipe: MergeRecipe) -> str:
    """A sentence or two: what this merge keeps, and what others of its models keep."""
    found = _found(recipe)
    beside = _beside(recipe, found)
    if found is None:
        known = f" Of the same models, with searched settings: {beside}." if beside else ""
        return f"Not scored yet (see Score).{known}"
    whose = "its models'" if len(found.models) > 1 else "its model's"
    asked, share = f"{found.questions:,}", _percent(found.kept)
    kept = f"This merge keeps {share} of {whose} own accuracy, on {asked} questions."
    searched = "With searched settings" + ("" if found.searched else " instead")
    return f"{kept} {searched}: {beside}." if beside else kept


def before_scoring(recipe: MergeRecipe) -> dict[str, Any] | None:
    """What stands beside a score of this merge, and on how many questions; None if it was not
    measured."""
    found = _found(recipe)
    if found is None:
        return None
    text = f"Measured on {found.questions:,} questions: keeps {_percent(found.kept)}."
    return {"questions": found.questions, "text": text}


def which_for_what() -> str:
    """The best merges of the embedded models for each purpose."""
    return str(measured_part("purposes"))


def _found(recipe: MergeRecipe) -> Measured | None:
    return {one.recipe: one for one in measured()}.get(recipe_hash(with_joined_bands(recipe)))


def _beside(recipe: MergeRecipe, found: Measured | None) -> str:
    """Task arithmetic, DPPA and magnitude pruning of the same models with searched settings, at the
    nearest rate, without the merge itself; empty if they were not measured."""
    models = tuple(one.model for one in recipe.models)
    rate = max(one.levels[-1] for one in recipe.models)
    parts = []
    for method, name in OTHERS.items():
        known = [one for one in measured() if (one.models, one.method) == (models, method)]
        best = [one for one in known if one.searched]
        if not best or found in best:
            continue
        one = min(best, key=lambda one: abs(one.rate - rate))
        at = f" (at {_percent(one.rate)})" if one.rate not in (0.0, rate) else ""
        parts.append(f"{name}{at} {_percent(one.kept)}{_without_search(one, known, found)}")
    return ", ".join(parts)


def _without_search(one: Measured, known: Iterable[Measured], shown: Measured | None) -> str:
    """What the same merge keeps as pruned, if that is more and is not the merge that is shown."""
    plain = [row for row in known if row.rate == one.rate and not row.searched and row != shown]
    kept = max((row.kept for row in plain), default=0.0)
    more = kept > one.kept and _percent(kept) != _percent(one.kept)
    return f" (as pruned {_percent(kept)})" if more else ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u202f%"
