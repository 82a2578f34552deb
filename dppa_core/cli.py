"""The command line: profile, plan, merge, card, and the commands of other files put together.

Knows how people ask and what they see; the work is done elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from dppa_core.card import model_card
from dppa_core.cli_compare import compare_semantics
from dppa_core.cli_convert import convert
from dppa_core.cli_diff import diff
from dppa_core.cli_mergekit import export_recipe, import_recipe
from dppa_core.cli_methods import methods
from dppa_core.cli_output import emit, progress_line
from dppa_core.cli_packs import pack
from dppa_core.cli_plans import plan_text, profile_json, profile_text
from dppa_core.cli_preflight import preflight
from dppa_core.cli_presets import presets
from dppa_core.cli_runs import evaluate, zoo_app
from dppa_core.cli_terminal import terminal
from dppa_core.density import PruningParameters
from dppa_core.errors import DppaError, InvalidRecipe
from dppa_core.merge import merge_to_folder
from dppa_core.merger import Merger
from dppa_core.methods.registry import get_method
from dppa_core.plan import plan_pruning
from dppa_core.profile import cached_profile
from dppa_core.recipe import load_recipe
from dppa_core.shards import parse_size

app = typer.Typer(
    name="dppa",
    help="Prune, amplify and merge fine-tuned models. A model is zoo:NAME, a folder, "
    "owner/name of the Hub, MODEL+ADAPTER or MODEL+PACK.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command()(evaluate)
app.command()(methods)
app.command()(convert)
app.command()(preflight)
app.command()(presets)
app.command()(compare_semantics)
app.command()(pack)
app.command()(diff)
app.command("import")(import_recipe)
app.command("export")(export_recipe)
app.add_typer(zoo_app, name="zoo")

JsonFlag = Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")]
BaseOption = Annotated[str, typer.Option(help="The base the model was fine-tuned from.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Threads; every core if unset. The result is the same.")
]
RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file (YAML).")]

DEFAULTS = PruningParameters()


@app.command()
def profile(
    model: Annotated[str, typer.Argument(help="The domain model.")],
    base: BaseOption = "zoo:base",
    workers: WorkersOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show how far every module of a domain model has moved from its base."""
    with progress_line() as progress:
        found = cached_profile(base, model, workers=workers, progress=progress)
    emit(profile_json(found), profile_text(found), as_json=as_json)


@app.command()
def plan(
    model: Annotated[str | None, typer.Argument(help="The domain model.")] = None,
    base: Annotated[str | None, typer.Option(help="Its base, zoo:base by default.")] = None,
    rate: Annotated[float | None, typer.Option(help="Pruning rate, 0.8 by default.")] = None,
    levels: Annotated[str | None, typer.Option(help="Falling rates, as 0.9,0.8.")] = None,
    strength: Annotated[
        float | None,
        typer.Option(help=f"How far densities spread, {DEFAULTS.strength:g} by default."),
    ] = None,
    k_layer: Annotated[
        float | None,
        typer.Option(help=f"Outlier factor of layers, {DEFAULTS.k_layer:g} by default."),
    ] = None,
    k_module: Annotated[
        float | None,
        typer.Option(help=f"Outlier factor of modules, {DEFAULTS.k_module:g} by default."),
    ] = None,
    ties: Annotated[
        str | None, typer.Option(help=f"exact or prune, {DEFAULTS.ties} by default.")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Plan every model of a recipe.")] = None,
    workers: WorkersOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what pruning would keep of every module; touches no weights."""
    settings = {"strength": strength, "k_layer": k_layer, "k_module": k_module, "ties": ties}
    chosen: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    if recipe is not None:
        places = {"model": model, "base": base, "rate": rate, "levels": levels}
        _refuse_beside_recipe([n for n, v in places.items() if v is not None] + list(chosen))
        _plan_recipe(recipe, workers, as_json)
        return
    if model is None:
        raise typer.BadParameter("give either a model or --recipe FILE")
    if rate is not None and levels is not None:
        raise typer.BadParameter("give either --rate or --levels; the last level is the rate")
    rates = _numbers(levels) if levels is not None else (0.8 if rate is None else rate,)
    parameters = replace(DEFAULTS, **chosen)
    with progress_line() as progress:
        reference = "zoo:base" if base is None else base
        known = cached_profile(reference, model, workers=workers, progress=progress)
    found = plan_pruning(known, rates, parameters)
    emit(found.to_json(), plan_text(found), as_json=as_json)


def _refuse_beside_recipe(names: Sequence[str]) -> None:
    """What a recipe settles is refused beside it, rather than passed over."""
    if names:
        given = [n if n == "model" else "--" + n.replace("_", "-") for n in names]
        raise typer.BadParameter(
            f"{', '.join(given)}: settled by the recipe; leave out either these or --recipe"
        )


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"--levels wants numbers such as 0.9,0.8, got {text!r}") from None


def _plan_recipe(path: Path, workers: int | None, as_json: bool) -> None:
    recipe = load_recipe(path)
    with progress_line() as progress:
        plans = Merger(recipe, workers=workers, progress=progress).plans
    if not plans:
        raise InvalidRecipe(
            f"{path}: the method {recipe.method} ranks no elements before it merges, so there is "
            "no plan to show. dppa and magnitude make plans, alone or as `prune` before another."
        )
    text = "\n\n".join(plan_text(found) for found in plans)
    emit({"plans": [found.to_json() for found in plans]}, text, as_json=as_json)


@app.command()
def merge(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option(help="The checkpoint folder to make.")],
    backend: Annotated[str, typer.Option(help="numba, or torch (slow, same bytes).")] = "numba",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a checkpoint that is there.")
    ] = False,
    shard_size: Annotated[str, typer.Option(help="Largest weight file, as 5GB.")] = "5GB",
    sync: Annotated[bool, typer.Option(help="Wait until the disk has everything.")] = True,
    workers: WorkersOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Merge the models of a recipe into a folder that transformers loads."""
    given = load_recipe(recipe)
    with progress_line() as progress:
        done = merge_to_folder(
            given,
            out,
            backend=backend,
            overwrite=overwrite,
            shard_size=parse_size(shard_size),
            sync=sync,
            workers=workers,
            progress=progress,
        )
    kept = ", ".join(f"{density:.2%}" for density in done.densities)
    verb = "kept" if get_method(given.method).combination is None else "went into the combination"
    lines = [
        f"{out}: recipe {done.recipe_hash[:6]} merged in {done.seconds:.1f} s"
        f"{f' into {len(done.files)} files' if len(done.files) > 1 else ''}; "
        f"of the deltas {kept} {verb}",
        *(f"warning: {warning}" for warning in done.warnings),
    ]
    emit({"folder": str(out), **asdict(done)}, "\n".join(lines), as_json=as_json)


@app.command()
def card(recipe: RecipeFile, as_json: JsonFlag = False) -> None:
    """Show the model card a merge of this recipe would get."""
    loaded = load_recipe(recipe)
    with progress_line() as progress:
        merger = Merger(loaded, progress=progress)
        text = model_card(merger.recipe, merger.plans, merger.parents())
    emit({"card": text}, text, as_json=as_json)


def main() -> None:
    """Run the command line; an error we foresee is one line on stderr and exit code 1."""
    with terminal():
        try:
            app()
        except DppaError as error:
            sys.stderr.write("dppa: " + " ".join(str(error).split()) + "\n")
            sys.exit(1)
