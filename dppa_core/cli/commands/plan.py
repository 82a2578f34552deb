"""The command `plan`: what pruning would keep, of a model or of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from dppa_core.cli.output import (
    FrameOption,
    JsonFlag,
    WorkersOption,
    base_and_model,
    emit,
    progress_line,
    recipe_or_models,
)
from dppa_core.errors import InvalidRecipe
from dppa_core.evaluation.tables import text_table
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
from dppa_core.recipes.calibration import TOKENS, Calibration, calibration_from_words
from dppa_core.recipes.yaml_text import load_recipe
from dppa_core.system.frames import check_frame_file, joined, write_frame

DEFAULTS = PruningParameters()


def plan(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE|[BASE] MODEL", help="A recipe file, or a model; its base is zoo:base."
        ),
    ] = None,
    base: Annotated[str | None, typer.Option(hidden=True)] = None,
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
    significance: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(SIGNIFICANCE_KINDS)}; {DEFAULTS.significance} by default."),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(help="Domains, as math,law, or a text file: for fisher and activation."),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=2, help=f"Tokens of it, {TOKENS} by default.")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(hidden=True)] = None,
    workers: WorkersOption = None,
    frame: FrameOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what pruning would keep of every module; makes no weights."""
    settings = {"strength": strength, "k_layer": k_layer, "k_module": k_module, "ties": ties}
    settings |= {"significance": significance}
    chosen: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    recipe, models = recipe_or_models(what, recipe)
    check_frame_file(frame)
    if recipe is not None:
        places = {"model": models or None, "base": base, "rate": rate, "levels": levels}
        places |= {"calibration": calibration, "tokens": tokens}
        _refuse_beside_recipe([n for n, v in places.items() if v is not None] + list(chosen))
        _plan_recipe(recipe, workers, frame, as_json)
        return
    base, model = base_and_model(models, base)
    if rate is not None and levels is not None:
        raise typer.BadParameter("give either --rate or --levels; the last level is the rate")
    rates = _numbers(levels) if levels is not None else (0.8 if rate is None else rate,)
    parameters = replace(DEFAULTS, **chosen)
    text = _text(parameters.significance, calibration, tokens)
    with progress_line() as progress:
        pair = base, model, parameters.significance
        known = ranked_profile(*pair, text, workers=workers, progress=progress)
    found = plan_pruning(known, rates, parameters)
    if frame is not None:
        write_frame(found.to_frame(), frame)
    emit(found.to_json(), plan_text(found), as_json=as_json)


def _refuse_beside_recipe(names: Sequence[str]) -> None:
    """Refuse options that the recipe settles, instead of ignoring them."""
    if names:
        given = [n if n == "model" else "--" + n.replace("_", "-") for n in names]
        raise typer.BadParameter(
            f"{', '.join(given)}: settled by the recipe; leave out either these or the recipe"
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


def _plan_recipe(path: Path, workers: int | None, frame: Path | None, as_json: bool) -> None:
    recipe = load_recipe(path)
    with progress_line() as progress:
        inputs = open_inputs(recipe, workers=workers, progress=progress)
        plans, losses = plan_merge(inputs).plans, inputs.rounding_losses()
    if not plans:
        raise InvalidRecipe(
            f"{path}: the method {recipe.method} ranks no elements before it merges, so there is "
            "no plan to show. dppa and magnitude make plans, alone or as `prune` before another."
        )
    if frame is not None:
        write_frame(joined((found.finetuned, found.to_frame()) for found in plans), frame)
    lines = [f"{model}: {loss.text}" for model, loss in losses.items()]
    text = "\n\n".join((*map(plan_text, plans), *(["\n".join(lines)] if lines else [])))
    rounding = {model: loss.share for model, loss in losses.items()}
    values = {"plans": [found.to_json() for found in plans], "rounding": rounding}
    emit(values, text, as_json=as_json)


def plan_text(plan: PruningPlan) -> str:
    """Density of every module, layers down and kinds across, and the totals."""
    kinds = order_kinds(module.kind for module in plan.modules)
    layers = sorted({module.layer for module in plan.modules})
    cells: dict[tuple[int, str], list[str]] = {}
    for module in plan.modules:
        share = module.kept / module.numel
        cells.setdefault((module.layer, module.kind), []).append(f"{share:.1%}")
    rows = [
        [str(layer), *("/".join(cells.get((layer, kind), ["-"])) for kind in kinds)]
        for layer in layers
    ]
    levels = ", ".join(f"{level:g}" for level in plan.levels)
    return (
        f"{plan.finetuned} against {plan.base}, levels {levels}: share of each module kept\n"
        f"{text_table(['layer', *kinds], rows)}\n"
        f"kept {plan.kept:,} of {plan.numel:,} elements ({plan.density:.3%}), "
        f"{plan.energy:.1%} of the sum of d²"
    )
