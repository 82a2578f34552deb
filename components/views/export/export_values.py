"""Sizes, times and texts of a recipe's files before they are made, as JSON for the browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.folders.architectures import pipeline_tag
from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.checkpoints.sources.zoo import zoo_path
from dppa_core.errors import DppaError, NoCounterpart
from dppa_core.merging.cards.card import card_plots, model_card
from dppa_core.merging.cards.record import MergeRecord, planned_record
from dppa_core.merging.inputs import open_inputs
from dppa_core.merging.plan import plan_merge
from dppa_core.merging.to_pack import check_packable, most_pack_bytes
from dppa_core.preflight_checks.estimate import DISK_RATE, START, Sizes, estimate, in_time
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.progress import Stop
from dppa_core.recipes.mergekit.exporting.export import export_mergekit
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, recipe_hash
from dppa_core.system.threads import worker_count

KINDS = ("checkpoint", "packs", "report")
PLOTLY_BYTES = 4_820_000
"""Size of the plotting script, which every report contains."""


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """Facts about a merge before it is made."""

    recipe: MergeRecipe
    """The recipe, with commits of Hub models."""
    record: MergeRecord
    sizes: Sizes
    shapes: dict[str, tuple[int, ...]]
    """Elements of the base's tensors."""
    weights: int
    """Bytes of the merged weights."""
    beside: int
    """Approximate bytes of the folder's other files."""
    packed: int
    """Bytes of all delta packs at most."""


def read_facts(recipe: MergeRecipe, *, public: bool, stop: Stop | None = None) -> ExportFacts:
    """Open the models of a recipe and plan the merge. Raises DppaError as for a merge, except for
    errors that only the weights show."""
    inputs = open_inputs(recipe, public=public, stop=stop)
    plan, companions = plan_merge(inputs), inputs.companions()
    record = planned_record(
        *(inputs.parents(), plan.plans, companions.origins, plan.warnings),
        pipeline_tag(companions.config),
    )
    stored = tuple(
        sum(TensorSpec(name, model.dtype(name), model.shape(name)).nbytes for name in model.names())
        for model in (inputs.base, *inputs.tuned)
    )
    plots = sum(map(len, card_plots(plan.recipe, record).values()))
    return ExportFacts(
        recipe=plan.recipe,
        record=record,
        sizes=Sizes(
            parameters=sum(tensor.numel for tensor in plan.tensors.values()),
            stored=stored,
            dtype=plan.recipe.dtype,
            combines=plan.combines,
            workers=worker_count(None),
        ),
        shapes={name: tensor.shape for name, tensor in plan.tensors.items()},
        weights=sum(tensor.nbytes for tensor in plan.tensors.values()),
        beside=sum(map(len, companions.files.values())) + plots + 250 * len(plan.tensors) + 4000,
        packed=most_pack_bytes(plan, inputs.base),
    )


def seconds_of(facts: ExportFacts, kind: str) -> float:
    """Approximate seconds to make a kind of file, with its models in memory."""
    merge_seconds = estimate(facts.sizes).merge_seconds - START
    if kind == "packs":  # one merge a model; to code what differs takes as long again
        return 2 * len(facts.recipe.models) * merge_seconds
    return merge_seconds + 2 * bytes_of(facts, kind) / DISK_RATE


def bytes_of(facts: ExportFacts, kind: str) -> int:
    """Approximate bytes of a kind of file."""
    sizes = {
        "checkpoint": facts.weights + facts.beside,
        "packs": facts.packed,
        "report": PLOTLY_BYTES + 2 * facts.beside,
    }
    return sizes[kind]


def needed_bytes(facts: ExportFacts, kind: str) -> int:
    """Most bytes on the disk while it is made: its folder, and the file beside it."""
    folder = facts.packed if kind == "packs" else facts.weights + facts.beside
    return bytes_of(facts, kind) + folder


def export_value(facts: ExportFacts, recipe: MergeRecipe, *, public: bool) -> dict[str, Any]:
    """The value of the pane; `recipe` is that of the controls, whose hash the browser knows."""
    texts = {
        "recipe": _text("recipe.yaml", dump_recipe(facts.recipe)),
        "mergekit": mergekit_value(facts.recipe, facts.shapes, public=public),
        "card": _text("README.md", model_card(facts.recipe, facts.record)),
    }
    files = {kind: _file(facts, kind) for kind in KINDS}
    return {"recipe": recipe_hash(recipe), "files": files, "texts": texts}


def _file(facts: ExportFacts, kind: str) -> dict[str, Any]:
    reason = _obstacle(facts.recipe) if kind == "packs" else ""
    most = "at most " if kind == "packs" else ""
    size = f"{most}{in_bytes(bytes_of(facts, kind))}"
    return {"size": size, "time": in_time(seconds_of(facts, kind)), "reason": reason}


def _obstacle(recipe: MergeRecipe) -> str:
    """The reason why a merge has no delta packs; empty if it has."""
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
    """The recipe for mergekit with notes on differences, or the reason why there is none."""

    def place(reference: str) -> str:
        if reference.startswith("zoo:"):
            return zoo_path(reference[4:], Path("assets") if public else None)
        return reference.removeprefix("hub:")

    name = "mergekit.yaml"
    try:
        exported = export_mergekit(recipe, shapes=shapes, place=place)
    except NoCounterpart as error:
        return _text(name, "", reason=str(error))
    notes = exported.notes
    if public:
        notes += (
            "The models are the folders assets/zoo/… and assets/adapters/… of this page's "
            "repository; for smollm2 put the folder that `dppa zoo fetch smollm2` names.",
        )
    return _text(name, exported.text, notes)
