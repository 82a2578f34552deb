"""Sizes, times and texts of a recipe's files before they are made, as JSON for the browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.checkpoint import low_bit_of
from dppa_core.checkpoints.low_bit.formats import LowBitFormat
from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.checkpoints.sources.zoo import zoo_path
from dppa_core.errors import DppaError, NoCounterpart
from dppa_core.evaluation.form_sizes import kept_bytes
from dppa_core.merging.cards.card import card_plots, model_card
from dppa_core.merging.cards.record import MergeRecord, planned_record
from dppa_core.merging.inputs import open_inputs
from dppa_core.merging.lora.ranks import AdapterSizes, adapter_sizes, kept_by_rank
from dppa_core.merging.lora.report import USUAL_RANK
from dppa_core.merging.plan import plan_merge
from dppa_core.merging.to_pack import check_packable, most_pack_bytes, packed_forms
from dppa_core.preflight_checks.estimate import DISK_RATE, START, Sizes, estimate, in_time
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.progress import Stop
from dppa_core.recipes.mergekit.exporting.export import export_mergekit
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, recipe_hash
from dppa_core.system.threads import worker_count

KINDS = ("checkpoint", "adapter", "packs", "report")
THIN = "\u202f"
MEASURED_NUMEL = 8_000_000
"""Up to so many parameters the pane says what each rank keeps, in less than a second."""
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
    """Bytes of all delta packs: exact but for headers if all are forms, else at most."""
    in_forms: bool
    """Whether every pack holds the form that its model is kept in."""
    adapters: AdapterSizes
    few_bits: LowBitFormat | None = None
    """The base's format, if it is stored in few bits."""


def read_facts(recipe: MergeRecipe, *, public: bool, stop: Stop | None = None) -> ExportFacts:
    """Open the models of a recipe and plan the merge. Raises DppaError as for a merge, except for
    errors that only the weights show."""
    inputs = open_inputs(recipe, public=public, stop=stop)
    plan, companions = plan_merge(inputs), inputs.companions()
    record = planned_record(
        *(inputs.parents(), plan.plans, companions.origins, plan.warnings),
        companions.pipeline,
    )
    stored = tuple(
        sum(TensorSpec(name, model.dtype(name), model.shape(name)).nbytes for name in model.names())
        for model in (inputs.base, *inputs.tuned)
    )
    few = low_bit_of(inputs.base)
    small = sum(tensor.numel for tensor in plan.tensors.values()) <= MEASURED_NUMEL
    forms = packed_forms(plan.recipe, inputs.tuned)
    form_bytes = [kept_bytes(kept, measure=small, stop=stop) for kept in forms.values()]
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
        packed=most_pack_bytes(plan, inputs.base, forms) + sum(form_bytes),
        in_forms=len(forms) == len(inputs.tuned),
        adapters=adapter_sizes(inputs, plan),
        few_bits=few.format if few else None,
    )


def seconds_of(facts: ExportFacts, kind: str) -> float:
    """Approximate seconds to make a kind of file, with its models in memory."""
    merge_seconds = estimate(facts.sizes).merge_seconds - START
    if kind == "packs":  # one merge a model; to code what differs takes as long again
        return 2 * len(facts.recipe.models) * merge_seconds
    if kind == "adapter":
        return merge_seconds + facts.adapters.seconds / facts.sizes.workers
    return merge_seconds + 2 * bytes_of(facts, kind) / DISK_RATE


def bytes_of(facts: ExportFacts, kind: str, rank: int | None = None) -> int:
    """Approximate bytes of a kind of file; `rank` is that of an adapter."""
    adapters = facts.adapters
    sizes = {
        "checkpoint": facts.weights + facts.beside,
        "adapter": adapters.nbytes(rank if rank or adapters.joined else USUAL_RANK),
        "packs": facts.packed,
        "report": PLOTLY_BYTES + 2 * facts.beside,
    }
    return sizes[kind]


def needed_bytes(facts: ExportFacts, kind: str, rank: int | None = None) -> int:
    """Most bytes on the disk while it is made: its folder, and the file beside it."""
    size = bytes_of(facts, kind, rank)
    if kind == "adapter":  # factors wait in a temporary file
        return 3 * (size + facts.beside)
    return size + (facts.packed if kind == "packs" else facts.weights + facts.beside)


def kept_shares(facts: ExportFacts, *, public: bool) -> Sequence[float]:
    """The share of the change that an adapter of each rank keeps, from rank 1; none of models that
    would take long."""
    if facts.sizes.parameters > MEASURED_NUMEL or _obstacle(facts, "adapter"):
        return ()
    return tuple(map(float, kept_by_rank(facts.recipe, public=public)))


def export_value(
    facts: ExportFacts, recipe: MergeRecipe, *, public: bool, kept: Sequence[float] = ()
) -> dict[str, Any]:
    """The value of the pane; `recipe` is that of the controls, whose hash the browser knows.

    Args:
        kept: See `kept_shares`.
    """
    texts = {
        "recipe": _text("recipe.yaml", dump_recipe(facts.recipe)),
        "mergekit": mergekit_value(facts.recipe, facts.shapes, public=public),
        "card": _text("README.md", model_card(facts.recipe, facts.record)),
    }
    files = {kind: _file(facts, kind) for kind in KINDS}
    files["checkpoint"]["note"] = _number_format(facts)
    files["adapter"]["ranks"] = [_rank(facts, rank, kept) for rank in facts.adapters.ranks]
    return {"recipe": recipe_hash(recipe), "files": files, "texts": texts}


def _file(facts: ExportFacts, kind: str) -> dict[str, Any]:
    most = "at most " if kind == "packs" and not facts.in_forms else ""
    size = f"{most}{in_bytes(bytes_of(facts, kind))}"
    time, reason = in_time(seconds_of(facts, kind)), _obstacle(facts, kind)
    return {"size": size, "time": time, "reason": reason}


def _number_format(facts: ExportFacts) -> str:
    """What the weights are written in, on a base of few bits, and how to keep its format."""
    if facts.few_bits is None:
        return ""
    written = f"In {facts.recipe.dtype}."
    if not facts.few_bits.writable:
        return written
    return f"{written} `dppa merge --format same` writes {facts.few_bits.title}."


def _rank(facts: ExportFacts, rank: int | None, kept: Sequence[float]) -> dict[str, Any]:
    """A rank that an adapter may have: 0 for the sum of the recipe's own adapters."""
    share = f", keeps {100 * kept[rank - 1]:.3g}{THIN}%" if rank and rank <= len(kept) else ""
    label = f"{rank}{share}" if rank else f"{facts.adapters.joined_rank}, exact"
    return {"rank": rank or 0, "size": in_bytes(facts.adapters.nbytes(rank)), "label": label}


def _obstacle(facts: ExportFacts, kind: str) -> str:
    """The reason why a merge has no file of a kind; empty if it has."""
    if kind not in ("packs", "adapter"):
        return ""
    if kind == "adapter" and not (facts.record.pipeline and facts.adapters.shapes):
        return "An adapter is made of language models with linear modules."
    try:
        check_packable(facts.recipe, whole=kind == "adapter")
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
