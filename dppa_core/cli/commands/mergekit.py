"""Commands between this tool and mergekit: import, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dppa_core.checkpoints.sources.open import ModelRef, open_checkpoint
from dppa_core.checkpoints.sources.zoo import zoo_path
from dppa_core.cli.output import JsonFlag, RecipeFile, emit, write_text
from dppa_core.errors import DppaError, printable
from dppa_core.recipes.mergekit.export import export_mergekit
from dppa_core.recipes.mergekit.import_recipe import import_mergekit
from dppa_core.recipes.mergekit.values import llama_names
from dppa_core.recipes.yaml_text import dump_recipe, load_recipe, load_text


def import_recipe(
    recipe: Annotated[Path, typer.Argument(metavar="MERGEKIT", help="mergekit's recipe (YAML).")],
    out: Annotated[Path | None, typer.Option(help="Write the recipe here, not to stdout.")] = None,
    layers: Annotated[
        int | None, typer.Option(min=1, help="Layers of a base that is not here, if it is a Llama.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Read a recipe of mergekit as one of ours; differences are reported on stderr."""

    def names(base: str) -> tuple[str, ...]:
        return tuple(_shapes(base)) if layers is None else llama_names(layers)

    found = load_text(recipe, lambda text: import_mergekit(text, names))
    written = dump_recipe(found.recipe)
    _hand_over("recipe", written, found.notes, out, as_json)


def export_recipe(
    recipe: RecipeFile,
    mergekit: Annotated[
        bool, typer.Option("--mergekit", help="For mergekit; the one format there is.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write it here, not to stdout.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a recipe as one of mergekit; differences are reported on stderr."""
    if not mergekit:
        raise typer.BadParameter("say which format: --mergekit")
    given = load_recipe(recipe)
    found = export_mergekit(given, shapes=_shapes(given.base), place=_place)
    _hand_over("mergekit", found.text, found.notes, out, as_json)


def _hand_over(
    key: str, text: str, notes: tuple[str, ...], out: Path | None, as_json: bool
) -> None:
    if out is not None:
        write_text(out, text)
    if as_json:
        emit({key: text, "notes": list(notes)}, text, as_json=True)
        return
    for note in notes:
        sys.stderr.write(f"warning: {printable(note)}\n")
    if out is None:
        emit(None, text, as_json=False)


def _shapes(reference: str) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors of a local model; empty if it is not here."""
    try:
        if ModelRef.parse(reference).source == "hub":  # a translation fetches nothing
            return {}
        checkpoint = open_checkpoint(reference)
    except DppaError:
        return {}
    return {name: checkpoint.shape(name) for name in checkpoint.names()}


def _place(reference: str) -> str:
    """A reference as mergekit reads it: a folder, or a name of the Hub."""
    if reference.startswith("zoo:"):
        return zoo_path(reference[4:])
    return reference.removeprefix("hub:")
