"""The retention of a merge before it is scored, from the laboratory's measurements.
assets/js/stage/verdict.js shows it over the plots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from dppa_core.recipes.differences import with_joined_bands
from dppa_core.recipes.yaml_text import MergeRecipe, parse_recipe, recipe_hash

from ...session.from_recipe import session_from_recipe
from ...session.measured import measured_part
from ...session.presets import first_session, presets
from ...session.state import state_of
from .pinned import opening_answers

TRAINED_APART = "Trained apart: math + finance + law"
"""The preset of models that were trained separately."""
SMALL_DELTAS = "Small deltas: math + finance + law"
"""The preset of models that hardly changed their base."""
WHEN_TO_PRUNE = (
    "Prune, or keep few bits, to store or send each model's changes as a small file; "
    "else add them whole."
)
METHOD_NAMES = {"task_arithmetic": "task arithmetic", "dppa": "DPPA", "magnitude": "magnitude"}
"""Method in the results -> its name in the line."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A merge of the results."""

    recipe: str
    """Its hash."""
    models: tuple[str, ...]
    method: str
    rate: float
    searched: bool
    """True if a search chose its factors, coefficient and strength; otherwise all are 1."""
    kept: float
    """Mean over the domains of its accuracy divided by that of the domain's own model."""
    spread: float
    """Half of the 95 % interval of `kept` over the questions."""
    questions: int
    """Test questions asked, all domains together."""


@cache
def measured() -> tuple[Measured, ...]:
    """All merges with a measured retention."""
    rows = measured_part("merges")
    return tuple(Measured(**{**row, "models": tuple(row["models"])}) for row in rows)


def of_other_trainings() -> str:
    """A sentence for those merges: how their models were trained, and the retention of models that
    were trained separately. Retention depends on the training, not only on the pruning."""
    apart = replace(presets()[TRAINED_APART], rate=first_session().rate, partitions=2)
    beside = _beside(apart.recipe(), None)
    return f"Toys trained to be merged. Trained apart: {beside}."


def small_deltas() -> dict[str, str]:
    """A sentence, and the label of a button that opens the preset `SMALL_DELTAS`."""
    return {
        "text": "These changes are large. Most fine-tunes change less: a random draw keeps them.",
        "label": "Models with small changes",
        "preset": SMALL_DELTAS,
    }


@cache
def shown_merges() -> tuple[dict[str, Any], ...]:
    """The measured merges that clicks set, four at each of some pruning rates: the embedded models
    added whole, pruned by magnitude as they are, with one factor, and by DPPA, each but the second
    with searched settings. Each has its rate, its name, its retention ("kept"), its settings in a
    sentence ("how"), the hash of its recipe, and the state of its session."""
    rows = []
    for merge in measured_part("clicks"):
        session = session_from_recipe(parse_recipe(merge["recipe"]), 0)
        row = {**merge, "state": state_of(session)}
        rows.append({**row, "recipe": recipe_hash(session.recipe())})
    return tuple(rows)


def asked_questions() -> dict[str, Any]:
    """Search questions by which a tab measures what a merge of the embedded models keeps:
    {"items", "own"}, the second how many of each domain its own model answers rightly."""
    asked: dict[str, Any] = opening_answers()["asked"]
    return asked


def opening_html() -> str:
    """The number of the first preset and the sentence below it, until scripts draw them."""
    opening = before_scoring(first_session().recipe())
    number = _percent(opening["kept"]) if opening else "…"
    return (
        '<p class="kept-figure opening"><span>This merge keeps</span>'
        f'<strong class="kept-number">{number}</strong>'
        "<span>of its models' own accuracy</span></p>"
        f'<p class="when">{WHEN_TO_PRUNE}</p>'
    )


def verdict_of(recipe: MergeRecipe) -> str:
    """One or two sentences: the retention of this merge, and of other merges of its models."""
    merge = _measurement(recipe)
    beside = _beside(recipe, merge)
    if merge is None:
        others = f" Of the same models, with searched settings: {beside}." if beside else ""
        return f"Not scored yet.{others}"
    owners = "its models'" if len(merge.models) > 1 else "its model's"
    questions, share = f"{merge.questions:,}", _percent(merge.kept)
    kept = f"This merge keeps {share} of {owners} own accuracy, on {questions} questions."
    searched = "With searched settings" + ("" if merge.searched else " instead")
    return f"{kept} {searched}: {beside}." if beside else kept


def before_scoring(recipe: MergeRecipe) -> dict[str, Any] | None:
    """What a merge keeps, half of its 95 % interval, the number of questions, and a note beside the
    score; None if the merge was not measured."""
    merge = _measurement(recipe)
    if merge is None:
        return None
    text = f"Measured on {merge.questions:,} questions: keeps {_percent(merge.kept)}."
    figures = {"kept": merge.kept, "spread": merge.spread, "questions": merge.questions}
    return {**figures, "text": text}


def which_for_what() -> str:
    """The best merges of the embedded models for each purpose."""
    return str(measured_part("purposes"))


def _measurement(recipe: MergeRecipe) -> Measured | None:
    return {row.recipe: row for row in measured()}.get(recipe_hash(with_joined_bands(recipe)))


def _beside(recipe: MergeRecipe, merge: Measured | None) -> str:
    """Task arithmetic, DPPA and magnitude pruning of the same models with searched settings, at the
    nearest rate, without the merge itself; empty if they were not measured."""
    models = tuple(model.model for model in recipe.models)
    rate = max(model.levels[-1] for model in recipe.models)
    parts = []
    for method, name in METHOD_NAMES.items():
        rows = [row for row in measured() if (row.models, row.method) == (models, method)]
        searched = [row for row in rows if row.searched]
        if not searched or merge in searched:
            continue
        nearest = min(searched, key=lambda row: abs(row.rate - rate))
        at = f" (at {_percent(nearest.rate)})" if nearest.rate not in (0.0, rate) else ""
        part = f"{name}{at} {_percent(nearest.kept)}"
        plain = [row for row in rows if not row.searched and row.rate == nearest.rate]
        kept = max((row.kept for row in plain if row != merge), default=0.0)
        if kept > nearest.kept and _percent(kept) != _percent(nearest.kept):
            part += f" (as pruned {_percent(kept)})"
        parts.append(part)
    return ", ".join(parts)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u202f%"
