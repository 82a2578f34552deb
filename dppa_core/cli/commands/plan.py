"""The command `plan`: what pruning would keep, of a model or of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from dppa_core.charts.tables import text_table
from dppa_core.checkpoints.sources.references import layer_sources
from dppa_core.cli.options import (
    FrameOption,
    JsonFlag,
    WorkersOption,
    base_and_model,
    dataclass_command,
    recipe_or_models,
)
from dppa_core.cli.output import emit, progress_line
from dppa_core.errors import InvalidRecipe
from dppa_core.merging.inputs import open_inputs
from dppa_core.merging.plan import plan_merge
from dppa_core.profiling.calibration.statistics import ranked_profile
from dppa_core.pruning.module_groups import order_kinds
from dppa_core.pruning.plan import PruningPlan, plan_pruning
from dppa_core.pruning.pruning_parameters import (
    CALIBRATED_KINDS,
    SIGNIFICANCE_KINDS,
    PruningParameters,
)
from dppa_core.recipes.calibration import DEFAULT_TOKENS, Calibration, calibration_from_words
from dppa_core.recipes.yaml_text import load_recipe
from dppa_core.system.frames import check_frame_file, joined, write_frame

DEFAULTS = PruningParameters()


@dataclass(frozen=True)
class PlanOptions:
    """The options of `dppa plan`."""

    references: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE|[BASE] MODEL", help="A recipe file, or a model; its base is zoo:base."
        ),
    ] = None
    base: Annotated[str | None, typer.Option(hidden=True)] = None
    rate: Annotated[float | None, typer.Option(help="Pruning rate, 0.8 by default.")] = None
    levels: Annotated[str | None, typer.Option(help="Falling rates, as 0.9,0.8.")] = None
    strength: Annotated[
        float | None,
        typer.Option(help=f"How far densities spread, {DEFAULTS.strength:g} by default."),
    ] = None
    k_layer: Annotated[
        float | None,
        typer.Option(help=f"Outlier factor of layers, {DEFAULTS.k_layer:g} by default."),
    ] = None
    k_module: Annotated[
        float | None,
        typer.Option(help=f"Outlier factor of modules, {DEFAULTS.k_module:g} by default."),
    ] = None
    ties: Annotated[
        str | None, typer.Option(help=f"exact or prune, {DEFAULTS.ties} by default.")
    ] = None
    significance: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(SIGNIFICANCE_KINDS)}; {DEFAULTS.significance} by default."),
    ] = None
    calibration: Annotated[
        str | None,
        typer.Option(help="Domains, as math,law, or a text file: for fisher and activation."),
    ] = None
    tokens: Annotated[
        int | None, typer.Option(min=2, help=f"Tokens of it, {DEFAULT_TOKENS} by default.")
    ] = None
    recipe: Annotated[Path | None, typer.Option(hidden=True)] = None
    workers: WorkersOption = None
    frame: FrameOption = None
    as_json: JsonFlag = False


@dataclass_command
def plan(options: PlanOptions) -> None:
    """Show what pruning would keep of every module; makes no weights."""
    recipe, models = recipe_or_models(options.references, options.recipe)
    check_frame_file(options.frame)
    if recipe is None:
        _plan_model(options, *base_and_model(models, options.base))
    else:
        _plan_recipe(options, recipe)


def _plan_model(options: PlanOptions, base: str, model: str) -> None:
    rate, levels = options.rate, options.levels
    if rate is not None and levels is not None:
        raise typer.BadParameter("give either --rate or --levels; the last level is the rate")
    rates = _numbers(levels) if levels is not None else (0.8 if rate is None else rate,)
    parameters = replace(DEFAULTS, **_parameters(options))
    text = _text(parameters.significance, options.calibration, options.tokens)
    with progress_line() as progress:
        settings = base, model, parameters.significance, text
        profile = ranked_profile(*settings, workers=options.workers, progress=progress)
    pruning = plan_pruning(profile, rates, parameters)
    if options.frame is not None:
        write_frame(pruning.to_frame(), options.frame)
    emit(pruning.to_json(), plan_text(pruning), as_json=options.as_json)


def _parameters(options: PlanOptions) -> dict[str, Any]:
    """The named parameters of the method."""
    names = ("strength", "k_layer", "k_module", "ties", "significance")
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _refuse_beside_recipe(options: PlanOptions) -> None:
    """Refuse options that the recipe settles, instead of ignoring them."""
    models = ["model"] if options.references and options.recipe is not None else []
    places = ("base", "rate", "levels", "calibration", "tokens")
    names = [name for name in places if getattr(options, name) is not None]
    settled = [*models, *(f"--{n.replace('_', '-')}" for n in (*names, *_parameters(options)))]
    if settled:
        raise typer.BadParameter(
            f"{', '.join(settled)}: settled by the recipe; leave out either these or the recipe"
        )


def _text(significance: str, calibration: str | None, tokens: int | None) -> Calibration | None:
    """The requested calibration text; None for the model's own."""
    if significance not in CALIBRATED_KINDS and (calibration is not None or tokens is not None):
        raise typer.BadParameter(
            f"--calibration and --tokens go with --significance {' or '.join(CALIBRATED_KINDS)}"
        )
    if calibration is None and tokens is not None:
        raise typer.BadParameter("--tokens goes with --calibration")
    return None if calibration is None else calibration_from_words(calibration, tokens)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"--levels wants numbers such as 0.9,0.8, got {text!r}") from None


def _plan_recipe(options: PlanOptions, path: Path) -> None:
    _refuse_beside_recipe(options)
    recipe = load_recipe(path)
    with progress_line() as progress:
        inputs = open_inputs(recipe, workers=options.workers, progress=progress)
        plans, loss = plan_merge(inputs).plans, inputs.rounding_loss()
    if not plans:
        raise InvalidRecipe(
            f"{path}: the method {recipe.method} ranks no elements before it merges, so there is "
            "no plan to show. dppa and magnitude make plans, alone or as `prune` before another."
        )
    if options.frame is not None:
        write_frame(joined((plan.finetuned, plan.to_frame()) for plan in plans), options.frame)
    text = "\n\n".join((*map(plan_text, plans), *([loss.text] if loss else [])))
    rounding = loss.share if loss else None
    values = {"plans": [plan.to_json() for plan in plans], "rounding": rounding}
    emit(values, text, as_json=options.as_json)


def plan_text(plan: PruningPlan) -> str:
    """Density of every module, layers down and kinds across, and the totals."""
    kinds = order_kinds(module.kind for module in plan.modules)
    layers = sorted({module.layer for module in plan.modules})
    cells: dict[tuple[int, str], list[str]] = {}
    for module in plan.modules:
        share = module.kept / module.numel
        cells.setdefault((module.layer, module.kind), []).append(f"{share:.1%}")
    sources = layer_sources(plan.finetuned)
    names = [f"{n} ({sources[n][0]} {sources[n][1]})" if sources else f"{n}" for n in layers]
    rows = [
        [name, *("/".join(cells.get((layer, kind), ["-"])) for kind in kinds)]
        for name, layer in zip(names, layers, strict=True)
    ]
    levels = ", ".join(f"{level:g}" for level in plan.levels)
    return (
        f"{plan.finetuned} against {plan.base}, levels {levels}: share of each module kept\n"
        f"{text_table(['layer', *kinds], rows)}\n"
        f"kept {plan.kept:,} of {plan.numel:,} elements ({plan.density:.3%}), "
        f"{plan.energy:.1%} of the sum of d²"
    )
