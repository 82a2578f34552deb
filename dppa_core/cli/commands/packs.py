"""The command that writes sparse delta packs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from dppa_core.cli.output import (
    JsonFlag,
    OverwriteFlag,
    RecipeFile,
    WorkersOption,
    emit,
    progress_line,
    teller,
)
from dppa_core.evaluation.tables import text_table
from dppa_core.merging.to_pack import PackReport, pack_models
from dppa_core.merging.to_patch import patch_base
from dppa_core.recipes.yaml_text import MergeRecipe, load_recipe


def pack(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option(help="The folder to make, one file a domain model.")],
    model: Annotated[
        str | None, typer.Option(help="Only this domain model: its reference, or its short name.")
    ] = None,
    coefficient: Annotated[
        float | None,
        typer.Option(help="Instead of the recipe's; 1 for packs that get theirs when merged."),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="dppa, or vllm: one patch of the base, for a server.")
    ] = "dppa",
    overwrite: OverwriteFlag = False,
    sync: Annotated[bool, typer.Option(help="Wait until the disk has everything.")] = True,
    workers: WorkersOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Write what a recipe leaves of each delta as a small file; BASE+FILE is then a model."""
    given = load_recipe(recipe)
    if form not in ("dppa", "vllm"):
        raise typer.BadParameter(f"{form!r} is no format; allowed are dppa and vllm")
    if form == "vllm":
        _patch(given, out, model, coefficient, overwrite, sync, workers, as_json)
        return
    with progress_line() as progress:
        found = pack_models(
            given,
            out,
            model=model,
            coefficient=coefficient,
            overwrite=overwrite,
            sync=sync,
            workers=workers,
            progress=progress,
        )
    packs = [{**asdict(one), "reference": _reference(out, one)} for one in found]
    values: dict[str, Any] = {"folder": str(out), "packs": packs}
    emit(values, _text(out, found), as_json=as_json)


def _patch(
    recipe: MergeRecipe,
    out: Path,
    model: str | None,
    coefficient: float | None,
    overwrite: bool,
    sync: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    if model is not None or coefficient is not None:
        raise typer.BadParameter(
            "--model and --coefficient are for packs; a patch is the whole merge"
        )
    say = teller(quiet=False)
    with progress_line() as progress:
        found = patch_base(
            *(recipe, out),
            overwrite=overwrite,
            sync=sync,
            workers=workers,
            announce=lambda size: say(size.text),
            progress=progress,
        )
    head = f"{out / found.file}: {found.nbytes / 1e6:.2f} MB"
    share = f"{found.stored / max(found.numel, 1):.2%} of the weights of {found.base}"
    emit({"folder": str(out), "patch": asdict(found)}, f"{head}, {share}", as_json=as_json)


def _reference(out: Path, one: PackReport) -> str:
    return f"{one.base}+{out / one.file}"


def _text(out: Path, found: Sequence[PackReport]) -> str:
    rows = [
        [
            one.file,
            f"{one.nbytes / 1e6:.2f} MB",
            f"{one.stored / max(one.numel, 1):.2%}",
            f"{one.nbytes / max(one.bound, 1):.3f}",
        ]
        for one in found
    ]
    head = ["pack", "size", "weights in it", "size ÷ bound"]
    return f"{text_table(head, rows)}\nas a model: {_reference(out, found[0])}"
