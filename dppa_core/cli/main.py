"""The command line: profile, plan, merge, and the commands of other files put together."""

from __future__ import annotations

import sys
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer

from dppa_core.checkpoints.shards import parse_size
from dppa_core.cli.cluster import RayOption, quiet_stdout
from dppa_core.cli.commands.adamerge import adamerge
from dppa_core.cli.commands.advise import advise
from dppa_core.cli.commands.attribute import attribute
from dppa_core.cli.commands.cards import card
from dppa_core.cli.commands.compare import compare_semantics
from dppa_core.cli.commands.convert import convert
from dppa_core.cli.commands.diff import diff
from dppa_core.cli.commands.evaluate import evaluate
from dppa_core.cli.commands.leaderboard import leaderboard
from dppa_core.cli.commands.mergekit import export_recipe, import_recipe
from dppa_core.cli.commands.methods import methods
from dppa_core.cli.commands.packs import pack
from dppa_core.cli.commands.plan import plan
from dppa_core.cli.commands.preflight import preflight
from dppa_core.cli.commands.presets import presets
from dppa_core.cli.commands.push import push
from dppa_core.cli.commands.reproduce import reproduce
from dppa_core.cli.commands.runs import zoo_app
from dppa_core.cli.commands.search import search
from dppa_core.cli.commands.soup import soup
from dppa_core.cli.output import check_here, emit, progress_line, terminal
from dppa_core.cli.plan_text import profile_json, profile_text
from dppa_core.errors import DppaError, InvalidValue, NotAllowed
from dppa_core.merging.to_folder import MergeReport, merge_to_folder
from dppa_core.methods.registry import get_method
from dppa_core.profiling.profile import cached_profile
from dppa_core.recipes.yaml_text import MergeRecipe, load_recipe
from dppa_core.system.shortage import ShortageAsError

app = typer.Typer(
    name="dppa",
    help="Prune, amplify and merge fine-tuned models. A model is zoo:NAME, a folder, "
    "owner/name of the Hub, MODEL+ADAPTER or MODEL+PACK.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command()(plan)
app.command()(evaluate)
app.command()(attribute)
app.command()(advise)
app.command()(adamerge)
app.command()(soup)
app.command()(search)
app.command()(reproduce)
app.command()(methods)
app.command()(leaderboard)
app.command()(convert)
app.command()(preflight)
app.command()(presets)
app.command()(compare_semantics)
app.command()(pack)
app.command()(diff)
app.command()(card)
app.command()(push)
app.command("import")(import_recipe)
app.command("export")(export_recipe)
app.add_typer(zoo_app, name="zoo")


def _page(context: typer.Context) -> None:
    """Serve the page, DPPA Studio, on this computer; its own --help lists its options.

    The package `dppa-studio[app]` contains it.
    """
    point = next(iter(entry_points(group="dppa.commands", name="app")), None)
    try:
        serve = None if point is None else point.load()
    except ImportError as error:
        raise NotAllowed(
            f"The page cannot be imported ({error}). Installing the library alone is the usual "
            "cause: pip install 'dppa-studio[app]'."
        ) from error
    if serve is None:
        raise NotAllowed(
            "The page belongs to the installed package: pip install 'dppa-studio[app]'. In the "
            "repository make app opens it."
        )
    serve(context.args)


_OWN_OPTIONS = {"ignore_unknown_options": True, "allow_extra_args": True}
app.command("app", context_settings=_OWN_OPTIONS, add_help_option=False)(_page)

JsonFlag = Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout.")]
BaseOption = Annotated[str, typer.Option(help="The base the model was fine-tuned from.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Threads; every core if unset. The result is the same.")
]
RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file (YAML).")]


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
def merge(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option(help="The checkpoint folder to make.")],
    backend: Annotated[
        str, typer.Option(help="numba, torch (slow, same bytes) or cuda.")
    ] = "numba",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a checkpoint that is there.")
    ] = False,
    shard_size: Annotated[str, typer.Option(help="Largest weight file, as 5GB.")] = "5GB",
    sync: Annotated[bool, typer.Option(help="Wait until the disk has everything.")] = True,
    workers: WorkersOption = None,
    ray: RayOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Merge the models of a recipe into a folder that transformers loads."""
    given = load_recipe(recipe)
    how: dict[str, Any] = {
        "overwrite": overwrite,
        "shard_size": parse_size(shard_size),
        "sync": sync,
    }
    with progress_line() as progress:
        if ray is None:
            how |= {"backend": backend, "workers": workers}
            done = merge_to_folder(given, out, **how, progress=progress)
        else:
            done = _on_cluster(given, out, ray, backend, workers, how | {"progress": progress})
    lines = [
        f"{out}: recipe {done.recipe_hash[:6]} merged in {done.seconds:.1f} s"
        f"{f' into {len(done.files)} files' if len(done.files) > 1 else ''}{_kept(given, done)}",
        f"tokenizer: {done.tokenizer}; chat template: {done.chat_template}; generation config: "
        f"{done.generation_config}",
        *(f"calibrated: {model} on {text}" for model, text in done.calibration.items()),
        *(f"warning: {warning}" for warning in done.warnings),
    ]
    emit({"folder": str(out), **asdict(done)}, "\n".join(lines), as_json=as_json)


def _on_cluster(
    recipe: MergeRecipe, out: Path, ray: str, backend: str, workers: int | None, how: dict[str, Any]
) -> MergeReport:
    """A merge on a Ray cluster; one core per task by default."""
    from dppa_core.merging.cluster.merge import merge_on_cluster  # noqa: PLC0415  (what no other merge needs)

    if backend != "numba":
        raise InvalidValue(
            f"On a cluster the backend is numba, got {backend}. The bytes are equal."
        )
    with quiet_stdout():
        return merge_on_cluster(recipe, out, address=ray, threads=workers or 1, **how)


def _kept(recipe: MergeRecipe, done: MergeReport) -> str:
    """What was kept of the deltas; empty if a method combines them whole."""
    combines = get_method(recipe.method).combination is not None
    if combines and all(density == 1 for density in done.densities):
        return ""
    kept = ", ".join(f"{density:.2%}" for density in done.densities)
    return f"; of the deltas {kept} {'went into the combination' if combines else 'kept'}"


def main() -> None:
    """Run the command line; a foreseen error is one line on stderr and exit code 1."""
    with terminal():
        try:
            check_here()
            with ShortageAsError():
                app()
        except DppaError as error:
            sys.stderr.write("dppa: " + " ".join(str(error).split()) + "\n")
            sys.exit(1)
