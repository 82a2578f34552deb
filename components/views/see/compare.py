"""Distances of two models: base, domain models, merges; assets/js/plots/compare.js draws them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import InvalidValue, OutOfBudget, shown
from dppa_core.merging.inputs import merge_base
from dppa_core.progress import Progress, Stop
from dppa_core.recipes.differences import recipe_differences
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.system.recent import Recent

from ...session.json_form import parsed
from ...session.session import Session
from ...session.state import session_from_state
from ...widgets.browser_parts import live
from ...widgets.controls import Controls
from ...widgets.runs import build_run, wire_run
from ...work.figures import short_name
from ...work.kinds import COMPARE
from ...work.progress_stream import stream_run
from ...work.studio import Studio, byte_budget

MERGED, OTHER_SLOT = "merged", "other"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models compared."""

    label: str
    target: str | MergeRecipe
    """A model's reference, or a recipe."""

    @property
    def recipe(self) -> str:
        """Hash of the recipe; empty for a model."""
        return recipe_hash(self.target) if isinstance(self.target, MergeRecipe) else ""


@dataclass(frozen=True, slots=True)
class Pair:
    """A checked pair."""

    sides: tuple[Side, Side]
    base: str
    """The base of both."""


def read_pair(choice: object, session: Session) -> Pair:
    """Check a choice: "first" and "second" are "merged", a model, or "other", the slot that is not
    shown; then "slot" is its name and "other" its state. InvalidValue for equal sides or merges of
    two bases."""
    if not isinstance(choice, Mapping):
        raise InvalidValue(f"Choose two to compare, got {shown(choice)}.")
    first, second = (_read_side(choice.get(key), choice, session) for key in ("first", "second"))
    if first.target == second.target:
        raise InvalidValue(
            f"{_why_equal(first, second)} Choose two that differ, or change the merge first."
        )
    for side in (first, second):
        if isinstance(side.target, MergeRecipe) and side.target.base != session.base:
            raise InvalidValue(
                f"{side.label} has the base {side.target.base}, the models here {session.base}. "
                "Merges of two bases cannot be compared weight by weight."
            )
    return Pair((first, second), session.base)


def _why_equal(first: Side, second: Side) -> str:
    if first.label == second.label:
        return f"You chose {first.label} twice."
    return f"{first.label[0].upper()}{first.label[1:]} and {second.label} are the same merge."


def _read_side(name: object, choice: Mapping[str, Any], session: Session) -> Side:
    references = (session.base, *(model.reference for model in session.models))
    if name == MERGED:
        return Side("the merge", session.recipe())
    if name == OTHER_SLOT:
        slot, state = choice.get("slot"), choice.get("other")
        if slot not in ("A", "B") or state is None:
            raise InvalidValue(
                "The other slot is empty: show it above, change something there, and come back."
            )
        return Side(f"the merge in slot {slot}", session_from_state(state).recipe())
    if name not in references:
        allowed = ", ".join((MERGED, OTHER_SLOT, *references))
        raise InvalidValue(f"{shown(name)} cannot be compared here. Allowed are {allowed}.")
    return Side(short_name(str(name)), str(name))


def comparison_value(
    pair: Pair, studio: Studio, cache: Recent, progress: Progress, stop: Stop
) -> dict[str, Any]:
    """Merge if necessary, and compare; runs in its own thread."""
    from dppa_core.evaluation.diff.cells import ModelTensors, diff_cells  # noqa: PLC0415  (torch)

    merges = sum(1 for side in pair.sides if side.recipe)
    with ExitStack() as stack:
        base = open_checkpoint(pair.base, public=studio.public, stop=stop)
        models: list[Checkpoint] = []
        made_of: list[Any] = [base.identities().items()]
        for side in pair.sides:
            if isinstance(side.target, MergeRecipe):
                if not studio.merged(side.target):
                    progress(0, 0, f"Merging {side.label}")
                resident = stack.enter_context(studio.lend(side.target, None, stop))
                if merges == 2 and not models:  # both are in memory at the same time
                    _check_room(resident.nbytes, byte_budget(public=studio.public))
                base = merge_base(side.target, public=studio.public, stop=stop)
                models.append(ModelTensors(resident.model, base))
                made_of.append(resident.made_of.items())
            else:
                models.append(open_checkpoint(side.target, public=studio.public, stop=stop))
                made_of.append(models[-1].identities().items())
        files = tuple(tuple(sorted(items)) for items in made_of)
        key = (pair.base, *(side.recipe or side.target for side in pair.sides), files)
        differences: dict[str, Any] | None = cache.find(key)
        if differences is None:
            names = (*(side.label for side in pair.sides), short_name(pair.base))
            cells = diff_cells([*models, base], names, progress=progress, stop=stop)
            differences = cache.keep(key, cells.to_json())
    return {**differences, **_about(pair)}


def _check_room(nbytes: int, budget: int) -> None:
    if 2 * nbytes > budget:
        raise OutOfBudget(
            f"Two merges of these models need {2 * nbytes / 1e9:.1f} GB in memory and the budget "
            f"is {budget / 1e9:.1f} GB. Compare each with a domain model instead."
        )


def _about(pair: Pair) -> dict[str, Any]:
    """The two models compared, and the differences of their settings."""
    recipes = [side.target for side in pair.sides if isinstance(side.target, MergeRecipe)]
    sides = [
        {
            "label": side.label,
            "recipe": side.recipe,
            "reference": "" if side.recipe else side.target,
        }
        for side in pair.sides
    ]
    settings = list(recipe_differences(*recipes)) if len(recipes) == 2 else None
    return {"sides": sides, "base": short_name(pair.base), "settings": settings}


def add_compare(controls: Controls, studio: Studio) -> None:
    """Add the choice of two models, the buttons, the plot and the table."""
    cache = Recent(64)
    with gr.Column(elem_id="compare-view", elem_classes=["view", "box"]):
        choice, runs = live("compare-choice", None), build_run("compare", "Compare")

    def on_compare(values: dict[Any, Any]) -> Iterator[dict[str, Any]]:
        pair = read_pair(parsed(values[choice]), controls.session(values))
        return stream_run(studio, COMPARE, partial(comparison_value, pair, studio, cache))

    wire_run("compare", runs, on_compare, controls.inputs | {choice}, COMPARE)
