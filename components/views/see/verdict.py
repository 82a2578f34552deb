"""What a merge keeps, as far as it is known before it is scored: read from the results of
`make results`. assets/js/plots/verdict.js shows it over the plots."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from components.session.shipped import shipped
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash

RESULTS = shipped("docs/results.json")


@dataclass(frozen=True, slots=True)
class Measured:
    """A merge of the results."""

    recipe: str
    """Its hash."""
    models: tuple[str, ...]
    method: str
    rate: float
    kept: float
    """Mean over the domains of its accuracy divided by that of the domain's own model."""
    questions: int
    """Test questions asked, all domains together."""


@cache
def measured() -> tuple[Measured, ...]:
    """Every merge in the results."""
    return tuple(_measured(json.loads(RESULTS.read_text(encoding="utf-8"))))


def _measured(results: Mapping[str, Any]) -> Iterator[Measured]:
    own = {d: one["domains"][d]["accuracy"] for d, one in results["own"].items()}
    plain = {"method": "task_arithmetic", "rate": 0.0, "alone": {}, **results["task_arithmetic"]}
    for row in (plain, *results["treated"]):
        for one in (row["merged"], *row["alone"].values()):
            shares = {d: found["accuracy"] / own[d] for d, found in one["domains"].items()}
            models, kept = tuple(f"zoo:{d}" for d in shares), sum(shares.values()) / len(shares)
            asked = sum(found["n"] for found in one["domains"].values())
            yield Measured(one["target"], models, row["method"], row["rate"], kept, asked)


def verdict_of(recipe: MergeRecipe) -> str:
    """A sentence or two: what this merge keeps, and what plain merges of its models keep."""
    found = _found(recipe)
    beside = _beside(recipe, found)
    if found is None:
        plain = f" Plain merges keep: {beside}." if beside else ""
        return f"Not scored yet (see Score).{plain}"
    asked, share = f"{found.questions:,}", _percent(found.kept)
    kept = f"On {asked} questions this merge keeps {share} of its models' scores"
    return f"{kept}; {beside}." if beside else f"{kept}."


def before_scoring(recipe: MergeRecipe) -> str:
    """What stands beside a score of this merge by fewer questions; empty if it was not measured."""
    found = _found(recipe)
    if found is None:
        return ""
    return f"Before, on {found.questions:,}: {_percent(found.kept)}."


def _found(recipe: MergeRecipe) -> Measured | None:
    return {one.recipe: one for one in measured()}.get(recipe_hash(_joined(recipe)))


def _joined(recipe: MergeRecipe) -> MergeRecipe:
    """The same merge with one band for each model whose bands all have the factor 1."""
    models = tuple(
        replace(one, levels=one.levels[-1:], amplification=(1.0,))
        if set(one.amplification) == {1.0}
        else one
        for one in recipe.models
    )
    return replace(recipe, models=models)


def _beside(recipe: MergeRecipe, found: Measured | None) -> str:
    """Task arithmetic, and magnitude pruning at the nearest rate, of the same models; empty if
    they were not measured."""
    models = tuple(one.model for one in recipe.models)
    rate = max(one.levels[-1] for one in recipe.models)
    known = [one for one in measured() if one.models == models and one != found]
    parts = [
        f"unpruned task arithmetic {_percent(one.kept)}"
        for one in known
        if one.method == "task_arithmetic"
    ]
    pruned = [one for one in known if one.method == "magnitude"]
    if pruned:
        one = min(pruned, key=lambda one: abs(one.rate - rate))
        at = "" if one.rate == rate else f" (at {_percent(one.rate)})"
        parts.append(f"magnitude pruning{at} {_percent(one.kept)}")
    return ", ".join(parts)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u202f%"
