"""What can be taken away of a recipe, before anything is made: sizes, times, texts, reasons.

Knows recipes and what a merger says of them beforehand; writes nothing. The values go to the
browser as JSON.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dppa_core.checkpoints.adapters.pack_format import has_delta, mask_bytes
from dppa_core.checkpoints.sources.open import zoo_root
from dppa_core.errors import DppaError, NoCounterpart
from dppa_core.merging.cards.card import card_plots, model_card
from dppa_core.merging.cards.record import MergeRecord, planned_record
from dppa_core.merging.inputs import MergeInputs, open_inputs
from dppa_core.merging.plan import MergePlan, plan_merge
from dppa_core.merging.preflight.estimate import DISK_RATE, START, Sizes, estimate, in_time
from dppa_core.merging.preflight.facts import in_bytes
from dppa_core.merging.to_pack import check_packable
from dppa_core.progress import Stop
from dppa_core.pruning.floats import RAW_TYPES
from dppa_core.recipes.mergekit.export import export_mergekit
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, recipe_hash
from dppa_core.system.threads import worker_count

KINDS = ("checkpoint", "packs", "report")
PLOTLY = 4_820_000
"""Bytes of the script that draws a report's plots, which every report holds once."""


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """What is known of a merge before it is made."""

    recipe: MergeRecipe
    """With the commits of models of the Hub."""
    record: MergeRecord
    sizes: Sizes
    shapes: dict[str, tuple[int, ...]]
    """Of the base's tensors."""
    weights: int
    """Bytes of the merged weights."""
    beside: int
    """Bytes of the other files of the folder, about."""
    packed: int
    """Bytes of all delta packs at most."""


def look(recipe: MergeRecipe, *, public: bool, stop: Stop | None = None) -> ExportFacts:
    """Open the models of a recipe and ask what a merge would be.

    Raises:
        DppaError: as a merge would, but for what only its weights can tell.
    """
    inputs = open_inputs(recipe, public=public, stop=stop)
    plan, companions = plan_merge(inputs), inputs.companions()
    record = planned_record(inputs.parents(), plan.plans, companions.origins, plan.warnings)
    stored = tuple(
        sum(math.prod(one.shape(name)) * _width(one.dtype(name)) for name in one.names())
        for one in (inputs.base, *inputs.tuned)
    )
    plots = sum(map(len, card_plots(plan.recipe, record).values()))
    return ExportFacts(
        recipe=plan.recipe,
        record=record,
        sizes=Sizes(
            parameters=sum(one.numel for one in plan.tensors.values()),
            stored=stored,
            dtype=recipe.dtype,
            combines=plan.combines,
            workers=worker_count(None),
        ),
        shapes={name: one.shape for name, one in plan.tensors.items()},
        weights=sum(one.numel * _width(one.dtype) for one in plan.tensors.values()),
        beside=sum(map(len, companions.files.values())) + plots + 250 * len(plan.tensors) + 4000,
        packed=_packed(inputs, plan, record),
    )


def _width(dtype: str) -> int:
    return np.dtype(RAW_TYPES[dtype]).itemsize


def _packed(inputs: MergeInputs, plan: MergePlan, record: MergeRecord) -> int:
    """One bit for every weight, and every weight that is kept; of each model."""
    tensors = [one for name, one in plan.tensors.items() if has_delta(inputs.base, name)]
    every, inside = sum(one.numel for one in tensors), sum(one.numel for one in plan.modules)
    width = _width(tensors[0].dtype) if tensors else 0
    total = 0
    for index, model in enumerate(plan.recipe.models):
        density = record.density(index)
        kept = round(inside * (1 - model.levels[-1] if density is None else density))
        total += mask_bytes(every) + (kept + every - inside) * width + 60 * len(tensors)
    return total


def seconds_of(known: ExportFacts, kind: str) -> float:
    """About how long making a kind of file takes, its models in memory."""
    sizes = known.sizes
    once = estimate(sizes).merge_seconds - START
    if kind == "packs":  # every merge of one model is computed twice
        return 2 * len(known.recipe.models) * once
    return once + 2 * bytes_of(known, kind) / DISK_RATE


def bytes_of(known: ExportFacts, kind: str) -> int:
    """About how large a kind of file is."""
    sizes = {
        "checkpoint": known.weights + known.beside,
        "packs": known.packed,
        "report": PLOTLY + 2 * known.beside,
    }
    return sizes[kind]


def needed_bytes(known: ExportFacts, kind: str) -> int:
    """What lies on the disk at most while it is made: its folder, and the file beside it."""
    folder = known.packed if kind == "packs" else known.weights + known.beside
    return bytes_of(known, kind) + folder


def export_value(known: ExportFacts, asked: MergeRecipe, *, public: bool) -> dict[str, Any]:
    """What the pane shows.

    Args:
        known: Of the recipe.
        asked: The recipe as the controls have it: its hash is what the browser knows.
        public: Whether strangers ask.
    """
    texts = {
        "recipe": _text("recipe.yaml", dump_recipe(known.recipe)),
        "mergekit": mergekit_value(known.recipe, known.shapes, public=public),
        "card": _text("README.md", model_card(known.recipe, known.record)),
    }
    return {
        "recipe": recipe_hash(asked),
        "files": {kind: _file(known, kind) for kind in KINDS},
        "texts": texts,
    }


def _file(known: ExportFacts, kind: str) -> dict[str, Any]:
    reason = _why_not(known.recipe) if kind == "packs" else ""
    most = "at most " if kind == "packs" else ""
    size = f"{most}{in_bytes(bytes_of(known, kind))}"
    return {"size": size, "time": in_time(seconds_of(known, kind)), "reason": reason}


def _why_not(recipe: MergeRecipe) -> str:
    try:
        check_packable(recipe)
    except DppaError as error:
        return str(error)
    return ""


def _text(name: str, text: str, notes: tuple[str, ...] = (), reason: str = "") -> dict[str, Any]:
    size = in_bytes(len(text.encode()))
    return {"name": name, "text": text, "size": size, "notes": list(notes), "reason": reason}


def mergekit_value(
    recipe: MergeRecipe, shapes: dict[str, tuple[int, ...]], *, public: bool
) -> dict[str, Any]:
    """The recipe in mergekit's words with what differs there, or why there are none."""

    def place(reference: str) -> str:
        if reference.startswith("zoo:"):
            root = Path("assets/zoo") if public else zoo_root()
            return str(root / reference[4:])
        return reference.removeprefix("hub:")

    name = "mergekit.yaml"
    try:
        found = export_mergekit(recipe, shapes=shapes, place=place)
    except NoCounterpart as error:
        return _text(name, "", reason=str(error))
    notes = found.notes
    if public:
        notes += ("The embedded models are the folders assets/zoo/… of this page's repository.",)
    return _text(name, found.text, notes)
