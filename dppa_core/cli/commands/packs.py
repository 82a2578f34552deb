"""The command that writes delta packs, patches and adapters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from dppa_core.charts.tables import text_table
from dppa_core.checkpoints.sources.references import kept_delta
from dppa_core.cli.options import (
    JsonFlag,
    OverwriteFlag,
    RecipeFile,
    WorkersOption,
    dataclass_command,
)
from dppa_core.cli.output import emit, progress_line, teller
from dppa_core.merging.lora.adapter_sum import sum_of_adapters
from dppa_core.merging.lora.other_bases import adapters_of_others
from dppa_core.merging.lora.report import MOST_RANK, USUAL_RANK, VLLM_RANKS
from dppa_core.merging.lora.to_lora import merge_to_lora
from dppa_core.merging.to_pack import PackReport, chosen_models, pack_models
from dppa_core.merging.to_patch import patch_base
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, load_recipe


@dataclass(frozen=True)
class PackOptions:
    """The options of `dppa pack`."""

    recipe: RecipeFile
    out: Annotated[
        Path, typer.Option(help="The folder to make, one file a domain model, or the adapter.")
    ]
    model: Annotated[
        str | None, typer.Option(help="Only this domain model: its reference, or its short name.")
    ] = None
    coefficient: Annotated[
        float | None,
        typer.Option(help="Instead of the recipe's; 1 for packs that get theirs when merged."),
    ] = None
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="dppa (if unset); vllm: one patch of the base, for a server; lora: an adapter of "
            "the base (PEFT, vLLM), of the linear modules alone.",
        ),
    ] = None
    rank: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_RANK,
            help="Of --format lora: most directions of a matrix. If unset, a sum of adapters stays "
            f"exact, and another merge has {USUAL_RANK}. vLLM needs a --max-lora-rank not below "
            f"it: {', '.join(map(str, VLLM_RANKS))} (in older ones up to 256).",
        ),
    ] = None
    overwrite: OverwriteFlag = False
    sync: Annotated[bool, typer.Option(help="Wait until the disk has everything.")] = True
    workers: WorkersOption = None
    as_json: JsonFlag = False


@dataclass_command
def pack(options: PackOptions) -> None:
    """Write what a recipe leaves of each delta as a small file, or the merge as a patch or an
    adapter; BASE+FILE, or BASE+FOLDER of an adapter, is then a model."""
    recipe, form = load_recipe(options.recipe), options.form or "dppa"
    if form not in _WRITERS:
        raise typer.BadParameter(f"{form!r} is no format; allowed are {', '.join(_WRITERS)}")
    if form != "dppa" and (options.model is not None or options.coefficient is not None):
        raise typer.BadParameter(
            "--model and --coefficient are for packs; a patch or an adapter is the whole merge"
        )
    if form != "lora" and options.rank is not None:
        raise typer.BadParameter("--rank is for --format lora")
    with progress_line() as progress:
        settings: dict[str, Any] = {
            "overwrite": options.overwrite,
            "sync": options.sync,
            "workers": options.workers,
            "progress": progress,
        }
        value, text = _WRITERS[form](options, recipe, settings)
    emit({"folder": str(options.out), **value}, text, as_json=options.as_json)


def _write_packs(
    options: PackOptions, recipe: MergeRecipe, settings: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    out, total = options.out, None if options.form else sum_of_adapters(recipe)
    if total:
        teller(quiet=False)(f"--format lora would give {in_bytes(total.nbytes)}, and be exact.")
    settings |= {"model": options.model, "coefficient": options.coefficient}
    reports = pack_models(recipe, out, **settings)
    references = [f"{report.base}+{out / report.file}" for report in reports]
    packs = [
        {**asdict(report), "reference": reference}
        for report, reference in zip(reports, references, strict=True)
    ]
    rows = [
        [
            report.file,
            f"{report.nbytes / 1e6:.2f} MB",
            report.form or f"{report.stored / max(report.numel, 1):.2%}",
            f"{report.places / 1e6:.2f} MB",
            f"{report.values / 1e6:.2f} MB",
        ]
        for report in reports
    ]
    table = text_table(
        ["pack", "size", "weights in it", "of these places", "of these values"], rows
    )
    notes = [
        note
        for report, model in zip(reports, _packed(options, recipe), strict=True)
        for note in _notes(report, model)
    ]
    return {"packs": packs}, "\n".join([table, f"as a model: {references[0]}", *notes])


def _packed(options: PackOptions, recipe: MergeRecipe) -> list[DomainModel]:
    return list(chosen_models(recipe, options.model).values())


def _notes(report: PackReport, model: DomainModel) -> Iterator[str]:
    """What a file of a model with a form does not hold."""
    if report.form and model.coefficient != 1:
        yield (
            f"{report.file}: the recipe's coefficient is no part of it. State it where the file is "
            "merged, or as the form's factor."
        )
    elif kept_delta(model.model) and not report.form:
        yield (
            f"{report.file}: holds the weights that differ from the base. method: task_arithmetic "
            "keeps the form, in fewer bytes."
        )


def _write_patch(
    options: PackOptions, recipe: MergeRecipe, settings: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    say = teller(quiet=False)
    patch = patch_base(recipe, options.out, announce=lambda size: say(size.text), **settings)
    size = f"{options.out / patch.file}: {patch.nbytes / 1e6:.2f} MB"
    share = f"{patch.stored / max(patch.numel, 1):.2%} of the weights of {patch.base}"
    return {"patch": asdict(patch)}, f"{size}, {share}"


def _write_adapter(
    options: PackOptions, recipe: MergeRecipe, settings: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    say = teller(quiet=False)
    for warning in adapters_of_others(model.model for model in recipe.models):
        say(f"! {warning}")
    adapter = merge_to_lora(
        recipe,
        options.out,
        rank=options.rank,
        announce=lambda report: say(report.text),
        **settings,
    )
    words = f"as a model: {adapter.base}+{options.out}\n{adapter.serving}"
    if options.rank is not None and options.rank > adapter.rank:
        words = f"--rank {options.rank}: no change has more than {adapter.rank} directions\n{words}"
    return {"adapter": asdict(adapter)}, f"{options.out}: {in_bytes(adapter.nbytes)}\n{words}"


_WRITERS = {"dppa": _write_packs, "vllm": _write_patch, "lora": _write_adapter}
