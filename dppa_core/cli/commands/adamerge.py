"""The command that finds coefficients: adamerge."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dppa_core.cli.output import (
    ItemsOption,
    JsonFlag,
    MemoryOption,
    OverwriteFlag,
    RecipeFile,
    ScorerOption,
    check_target,
    domains_in,
    emit,
    progress_line,
    teller,
)
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.tables import text_table
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, load_recipe
from dppa_core.system.atomic_folders import check_file, replace_file
from dppa_core.tuning.adamerging.settings import AdaMergeSettings, check_additive
from dppa_core.tuning.adamerging.texts import (
    Domain,
    check_count,
    domains_of_models,
    file_domains,
    task_domains,
)

if TYPE_CHECKING:
    from dppa_core.tuning.adamerging.adamerge import AdaMergeResult
    from dppa_core.tuning.adamerging.snapshot import Snapshot

_FIELDS = {item.name: item for item in fields(AdaMergeSettings)}


def _option(name: str) -> Any:
    """An option with its field's help text."""
    item = _FIELDS[name]
    return typer.Option(
        help=f"{item.metadata['help']} {item.default} by default.", show_default=False
    )


def adamerge(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option(help="The recipe to write, with the coefficients found.")],
    per: Annotated[str | None, _option("per")] = None,
    positions: Annotated[str | None, _option("positions")] = None,
    objective: Annotated[str | None, _option("objective")] = None,
    balance: Annotated[str | None, _option("balance")] = None,
    start: Annotated[float | None, _option("start")] = None,
    lr: Annotated[float | None, _option("lr")] = None,
    steps: Annotated[int | None, _option("steps")] = None,
    batch: Annotated[int | None, _option("batch")] = None,
    together: Annotated[int | None, _option("together")] = None,
    prompts_each: Annotated[int | None, _option("prompts")] = None,
    held_out: Annotated[int | None, _option("held_out")] = None,
    every: Annotated[int | None, _option("every")] = None,
    longest: Annotated[int | None, _option("longest")] = None,
    patience: Annotated[int | None, _option("patience")] = None,
    seed: Annotated[int | None, _option("seed")] = None,
    project: Annotated[
        bool, typer.Option("--project", help="Put coefficients back into [0, 1] after each step.")
    ] = False,
    tasks: Annotated[
        str | None, typer.Option(help="Embedded domains, one a model, as math,finance,law.")
    ] = None,
    prompts: Annotated[
        list[Path] | None,
        typer.Option(help="JSON lines of a model's domain: prompt, held-out ones with answer."),
    ] = None,
    items: ItemsOption = None,
    scorer: ScorerOption = None,
    log: Annotated[Path | None, typer.Option(help="Its log; OUT with .log.json if unset.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="State of a stopped run; OUT with .state.json if unset.")
    ] = None,
    overwrite: OverwriteFlag = False,
    memory: MemoryOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Find merging coefficients by AdaMerging: entropy at the answers to unlabelled prompts."""
    # Options have the names of the settings' fields, so that none is forgotten here.
    given = {name: value for name, value in locals().items() if name in _FIELDS}
    chosen: dict[str, Any] = {**given, "prompts": prompts_each, "project": project}
    settings = AdaMergeSettings(**{k: v for k, v in chosen.items() if v is not None})
    loaded = load_recipe(recipe)
    check_additive(loaded)
    named = domains_in(tasks, items, scorer)
    domains = _domains(loaded, named, prompts, settings)
    check_count(domains, loaded)
    log, state = log or _beside(out, ".log.json"), state or _beside(out, ".state.json")
    _check_targets(out, log, state, overwrite=overwrite)
    from dppa_core.tuning.adamerging.adamerge import adamerge as run  # noqa: PLC0415  (imports torch)

    say = teller(quiet=as_json)

    def watch(snapshot: Snapshot) -> None:
        say(f"step {snapshot.step}: {_figures(snapshot)}")

    with progress_line() as progress:
        found = run(loaded, domains, settings, state=state, progress=progress, watch=watch)
    replace_file(log, json.dumps(found.to_json(), allow_nan=False, indent=1) + "\n")
    replace_file(out, dump_recipe(found.recipe))
    state.unlink(missing_ok=True)
    value = {"out": str(out), "log": str(log), **found.to_json()}
    emit(value, _text(found, out, log), as_json=as_json)


def _domains(
    recipe: MergeRecipe,
    named: list[str] | None,
    files: list[Path] | None,
    settings: AdaMergeSettings,
) -> tuple[Domain, ...]:
    if named is not None and files:
        raise typer.BadParameter("give either --tasks or --prompts; --items goes with --tasks")
    if files:
        return file_domains(files, settings)
    return task_domains(domains_of_models(recipe) if named is None else named, settings)


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(out.name.removesuffix(".yaml") + ending)


def _check_targets(out: Path, log: Path, state: Path, *, overwrite: bool) -> None:
    """Refuse files that could not be written after the long work."""
    if len({out, log, state}) < 3:
        raise InvalidValue(f"{out}: recipe, log and state must be three files.")
    for path in (out, log):
        check_target(path, overwrite=overwrite)
    check_file(state)


def _figures(one: Snapshot) -> str:
    accuracy = "" if one.accuracy is None else f", accuracy {100 * one.accuracy:.1f} %"
    collapse = "; collapse: less entropy, worse answers" if one.collapsed else ""
    return f"entropy {one.entropy:.4f}, perplexity {one.perplexity:.3f}{accuracy}{collapse}"


def _text(found: AdaMergeResult, out: Path, log: Path) -> str:
    best = found.best
    lines = [f"{out}: the coefficients after step {best.step}; {_figures(best)}"]
    rows = [
        [model.model, " ".join(f"{value:.4g}" for value in row)]
        for model, row in zip(found.recipe.models, best.coefficients, strict=True)
    ]
    head = ["model", "coefficient" if found.settings.per == "model" else "coefficient by layer"]
    lines.append(text_table(head, rows))
    if found.ended_early:
        lines.append(f"ended early: {found.settings.patience} checkpoints in a row collapsed")
    return "\n".join([*lines, f"log: {log}"])
