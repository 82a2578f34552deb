"""What a merge keeps, as far as it is known before it is scored: read from the results of
`make results`. assets/js/plots/verdict.js shows it over the plots."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from components.session.shipped import shipped
from dppa_core.methods.registry import get_method
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash

RESULTS = shipped("docs/results.json")
LEADERBOARD = shipped("docs/leaderboard.json")
FOR_EACH_DOMAIN = "emr"
"""The method that makes a checkpoint for each domain, not one for all."""
OTHERS = {
    "task_arithmetic": "unpruned task arithmetic",
    "dp": "unamplified DPPA",
    "magnitude": "magnitude pruning",
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
    coefficient: float | None
    """The best one of those searched, in a merge of several models."""
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
        merges = [(row["coefficient"], row["merged"])]
        for coefficient, one in (*merges, *((None, one) for one in row["alone"].values())):
            shares = {d: found["accuracy"] / own[d] for d, found in one["domains"].items()}
            models, kept = tuple(f"zoo:{d}" for d in shares), sum(shares.values()) / len(shares)
            asked = sum(found["n"] for found in one["domains"].values())
            what = row["method"], row["rate"], coefficient
            yield Measured(one["target"], models, *what, kept, asked)


def verdict_of(recipe: MergeRecipe) -> str:
    """A sentence or two: what this merge keeps, and what others of its models keep."""
    found = _found(recipe)
    beside = _beside(recipe, found)
    if found is None:
        known = f" Of the same models: {beside}." if beside else ""
        return f"Not scored yet (see Score).{known}"
    whose = "its models'" if len(found.models) > 1 else "its model's"
    asked, share = f"{found.questions:,}", _percent(found.kept)
    kept = f"This merge keeps {share} of {whose} own accuracy, on {asked} questions."
    return f"{kept} {beside[:1].upper()}{beside[1:]}." if beside else kept


def before_scoring(recipe: MergeRecipe) -> str:
    """What stands beside a score of this merge by fewer questions; empty if it was not measured."""
    found = _found(recipe)
    if found is None:
        return ""
    return f"Before, on {found.questions:,}: {_percent(found.kept)}."


@cache
def which_for_what() -> str:
    """The best merges of the embedded models for each purpose, by `make leaderboard`."""
    rows = json.loads(LEADERBOARD.read_text(encoding="utf-8"))["rows"]
    told = {r["method"]: f"{get_method(r['method']).title} ({_tenths(r)})" for r in rows}
    (own,) = (row for row in rows if row["method"] == "dppa")
    one = [row for row in rows if row["method"] != FOR_EACH_DOMAIN]
    sparse = [row for row in one if get_method(row["method"]).prunes]
    alike = [r for r in sparse if r is own or not r["against_dppa"]["significant"]]
    best = alike if own is sparse[0] else sparse[:1]
    seen = ", no difference seen" if len(best) > 1 else ""
    asked = sum(found["n"] for found in own["domains"].values())
    pruned = " or ".join(told[row["method"]] for row in best)
    return (
        f"Of the embedded toys, on {asked:,} test questions, in brackets what is kept of their "
        f"own accuracy at settings searched for each method. For the best answers of one model: "
        f"{told[one[0]['method']]}. For small packs, a fifth of each change: {pruned}{seen}. If "
        f"each kind of question may have a model of its own: {told[FOR_EACH_DOMAIN]}."
    )


def _tenths(row: Mapping[str, Any]) -> str:
    return f"{100 * row['retention']:.1f}\u202f%"


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
    """Task arithmetic, DPPA and magnitude pruning of the same models, at the nearest rate, without
    the merge itself; empty if they were not measured."""
    models = tuple(one.model for one in recipe.models)
    rate = max(one.levels[-1] for one in recipe.models)
    parts = []
    for method, name in OTHERS.items():
        known = [one for one in measured() if (one.models, one.method) == (models, method)]
        if not known or (found and found.method == method):
            continue
        one = min(known, key=lambda one: abs(one.rate - rate))
        at = f" (at {_percent(one.rate)})" if one.rate not in (0.0, rate) else ""
        differs = any(model.coefficient != one.coefficient for model in recipe.models)
        if not one.rate and one.coefficient is not None and differs:
            at = f" (coefficient {one.coefficient:g})"
        parts.append(f"{name}{at} {_percent(one.kept)}")
    return ", ".join(parts)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u202f%"
