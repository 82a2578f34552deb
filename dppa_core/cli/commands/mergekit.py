"""Commands between this tool and mergekit: import, export."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.sources.open import ModelRef, open_checkpoint
from dppa_core.checkpoints.sources.references import stacked_models
from dppa_core.checkpoints.sources.zoo import zoo_path
from dppa_core.cli.options import JsonFlag, RecipeFile
from dppa_core.cli.output import emit, write_text
from dppa_core.errors import DppaError, InvalidRecipe, NoCounterpart, UnknownName, printable, shown
from dppa_core.evaluation.analysis.merge_preview import preview_merge
from dppa_core.merging.inputs import references, renamed, with_dtype
from dppa_core.recipes.mergekit.exporting.export import export_mergekit
from dppa_core.recipes.mergekit.import_recipe import Imported
from dppa_core.recipes.mergekit.local_names import fetched_names, local_names
from dppa_core.recipes.mergekit.stages import LAST, file_names, import_stages, stage_of
from dppa_core.recipes.mergekit.values import llama_names
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, load_recipe, load_text


def import_recipe(
    recipe: Annotated[Path, typer.Argument(metavar="MERGEKIT", help="mergekit's recipe (YAML).")],
    out: Annotated[Path | None, typer.Option(help="Write the recipe here, not to stdout.")] = None,
    layers: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Layers of a base that is not here, if it is a Llama."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FOLDER", help="Where a model of the recipe lies; may be repeated."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Read a recipe of mergekit as one of ours.

    Standard error says what differs from mergekit, and what the merge will do, by a sample of the
    weights, if they are on this disk. Of a file with several recipes each becomes a file in
    the folder --out.
    """
    places = _places(model or ())

    if layers is not None:
        stages = _read(recipe, lambda model: llama_names(layers))
    else:
        try:
            stages = _read(recipe, lambda model: local_names(places.get(model, model)))
        except (InvalidRecipe, NoCounterpart):  # the number of layers may be on the Hub
            stages = _read(recipe, lambda model: fetched_names(places.get(model, model)))
    listed = (model for stage in stages.values() for model in references(stage.recipe))
    models = [name for model in listed for name in stacked_models(model)]
    unknown = sorted(places.keys() - set(models))
    if unknown:
        raise UnknownName(
            f"--model {shown(unknown[0])}: {recipe} names no such model, but {', '.join(models)}."
        )
    if len(stages) > 1:
        _write_stages(stages, places, out, as_json)
        return
    imported = stages[LAST]
    ours = renamed(imported.recipe, places)
    _write("recipe", dump_recipe(ours), (*imported.notes, *_unknown(ours)), out, as_json)
    preview = None if as_json else preview_merge(ours)
    for line in preview.lines() if preview else ():
        sys.stderr.write(f"{printable(line)}\n")


def _read(recipe: Path, names: Callable[[str], tuple[str, ...]]) -> dict[str, Imported]:
    return load_text(recipe, lambda text: import_stages(text, names))


def _write_stages(
    stages: Mapping[str, Imported], places: Mapping[str, str], out: Path | None, as_json: bool
) -> None:
    """Write each recipe into the folder, with the files of earlier ones as its models."""
    if out is None:
        raise typer.BadParameter(f"the file holds {len(stages)} recipes; --out names their folder")
    out.mkdir(parents=True, exist_ok=True)
    files = {name: out / file for name, file in file_names(tuple(stages)).items()}
    texts, notes = {}, []
    for name, stage in stages.items():
        named = (name for model in references(stage.recipe) for name in stacked_models(model))
        models = [model for model in named if stage_of(model) in files]
        below = {
            model: str(files[stage_of(model)]) + model[len(stage_of(model)) :] for model in models
        }
        text = dump_recipe(renamed(stage.recipe, {**places, **below}))
        write_text(files[name], text)
        texts[str(files[name])] = text
        notes += [f"{files[name]}: {note}" for note in stage.notes]
    if as_json:
        emit({"recipes": texts, "notes": notes}, "", as_json=True)
        return
    for note in notes:
        sys.stderr.write(f"warning: {printable(note)}\n")
    emit(None, "\n".join(texts), as_json=False)


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
    loaded = load_recipe(recipe)
    base = _local(loaded.base)
    if base is not None:
        loaded = with_dtype(loaded, base)
    exported = export_mergekit(loaded, shapes=_shapes(base), place=_place)
    _write("mergekit", exported.text, exported.notes, out, as_json)


def _places(pairs: Sequence[str]) -> dict[str, str]:
    """Name in mergekit's recipe -> the reference in ours."""
    places = {}
    for pair in pairs:
        name, equals, place = pair.partition("=")
        if not (name and equals and place):
            raise typer.BadParameter(f"--model wants NAME=FOLDER, got {pair!r}")
        places[name] = place
    return places


def _write(key: str, text: str, notes: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    if out is not None:
        write_text(out, text)
    if as_json:
        emit({key: text, "notes": list(notes)}, text, as_json=True)
        return
    for note in notes:
        sys.stderr.write(f"warning: {printable(note)}\n")
    if out is None:
        emit(None, text, as_json=False)


def _unknown(recipe: MergeRecipe) -> Iterator[str]:
    """What is wrong with the names of embedded models."""
    listed = references(recipe)
    for name in dict.fromkeys(single for model in listed for single in stacked_models(model)):
        if name.startswith("zoo:"):
            try:
                open_checkpoint(name)
            except UnknownName as error:
                yield str(error)


def _local(reference: str) -> Checkpoint | None:
    """A local model; None if it is not here."""
    try:
        if any(model.source == "hub" for model in ModelRef.parse(reference).models):
            return None  # a translation fetches nothing
        return open_checkpoint(reference)
    except DppaError:
        return None


def _shapes(checkpoint: Checkpoint | None) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors of a model."""
    if checkpoint is None:
        return {}
    return {name: checkpoint.shape(name) for name in checkpoint.names()}


def _place(reference: str) -> str:
    """A reference as mergekit reads it: a folder, or a name of the Hub."""
    if reference.startswith("zoo:"):
        return zoo_path(reference[4:])
    return reference.removeprefix("hub:")
