"""The command that shows the model card of a merge."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Annotated

import typer

from dppa_core.cli.options import JsonFlag, OverwriteFlag
from dppa_core.cli.output import emit, progress_line
from dppa_core.errors import InvalidValue
from dppa_core.merging.cards.card import card_plots, model_card
from dppa_core.merging.cards.record import MergeRecord, planned_record
from dppa_core.merging.folder import CARD, write_card
from dppa_core.merging.inputs import open_inputs
from dppa_core.merging.plan import plan_merge
from dppa_core.merging.verify import check_merge, read_merge
from dppa_core.recipes.yaml_text import MergeRecipe, load_recipe
from dppa_core.system.atomic_folders import unwritable


def card(
    source: Annotated[
        Path, typer.Argument(metavar="RECIPE|FOLDER", help="A recipe file, or a merged folder.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write README.md and its plots into this folder.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Of a folder: hash its weights and compare first.")
    ] = False,
    overwrite: OverwriteFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Show the model card of a merged folder, or the one that a merge of a recipe would get."""
    if source.is_dir():
        merged = check_merge(source) if check else read_merge(source)
        recipe, record = merged.recipe, merged.record
    elif check:
        raise typer.BadParameter("--check is for a merged folder; a recipe has no weights yet")
    else:
        recipe, record = _planned(source)
    if out is not None:
        _write(recipe, record, out, overwrite=overwrite)
    text = model_card(recipe, record)
    values = {"card": text, "plots": card_plots(recipe, record), "digest": record.digest}
    emit(values, text, as_json=as_json)


def _planned(path: Path) -> tuple[MergeRecipe, MergeRecord]:
    loaded = load_recipe(path)
    with progress_line() as progress:
        inputs = open_inputs(loaded, progress=progress)
        plan, files = plan_merge(inputs), inputs.companions()
        parts = inputs.parents(), plan.plans, files.origins, plan.warnings
        return plan.recipe, planned_record(*parts, files.pipeline)


def _write(recipe: MergeRecipe, record: MergeRecord, out: Path, *, overwrite: bool) -> None:
    if (out / CARD).exists() and not overwrite:
        raise InvalidValue(
            f"{out / CARD}: already exists. Choose another folder, or allow overwriting "
            "(--overwrite)."
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_card(recipe, record, out)
    except FileExistsError as error:
        raise unwritable(out, NotADirectoryError(errno.ENOTDIR, "")) from error
    except OSError as error:
        raise unwritable(out, error) from error
