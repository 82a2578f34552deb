"""The command that finds coefficients: adamerge."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dppa_core.charts.tables import text_table
from dppa_core.cli.options import (
    ItemsOption,
    JsonFlag,
    MemoryOption,
    OverwriteFlag,
    RecipeFile,
    ScorerOption,
    check_target,
    dataclass_command,
    domains_in,
)
from dppa_core.cli.output import emit, progress_line, teller
from dppa_core.errors import InvalidValue
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


@dataclass(frozen=True)
class AdaMergeCommand:
    """The options of `dppa adamerge`; those of `AdaMergeSettings` have the names of its fields."""

    recipe: RecipeFile
    out: Annotated[Path, typer.Option(help="The recipe to write, with the coefficients found.")]
    per: Annotated[str | None, _option("per")] = None
    positions: Annotated[str | None, _option("positions")] = None
    objective: Annotated[str | None, _option("objective")] = None
    pull: Annotated[float | None, _option("pull")] = None
    balance: Annotated[str | None, _option("balance")] = None
    start: Annotated[float | None, _option("start")] = None
    lr: Annotated[float | None, _option("lr")] = None
    steps: Annotated[int | None, _option("steps")] = None
    batch: Annotated[int | None, _option("batch")] = None
    together: Annotated[int | None, _option("together")] = None
    prompts_each: Annotated[int | None, _option("prompts")] = None
    held_out: Annotated[int | None, _option("held_out")] = None
    every: Annotated[int | None, _option("every")] = None
    longest: Annotated[int | None, _option("longest")] = None
    patience: Annotated[int | None, _option("patience")] = None
    seed: Annotated[int | None, _option("seed")] = None
    project: Annotated[
        bool, typer.Option("--project", help="Put coefficients back into [0, 1] after each step.")
    ] = False
    tasks: Annotated[
        str | None, typer.Option(help="Embedded domains, one a model, as math,finance,law.")
    ] = None
    prompts: Annotated[
        list[Path] | None,
        typer.Option(help="JSON lines of a model's domain: prompt, held-out ones with answer."),
    ] = None
    items: ItemsOption = None
    scorer: ScorerOption = None
    log: Annotated[Path | None, typer.Option(help="Its log; OUT with .log.json if unset.")] = None
    state: Annotated[
        Path | None, typer.Option(help="State of a stopped run; OUT with .state.json if unset.")
    ] = None
    overwrite: OverwriteFlag = False
    memory: MemoryOption = None
    as_json: JsonFlag = False

    def settings(self) -> AdaMergeSettings:
        """The settings of the run: those that were named, else the defaults."""
        options = {name: getattr(self, name) for name in _FIELDS} | {"prompts": self.prompts_each}
        return AdaMergeSettings(**{k: value for k, value in options.items() if value is not None})

    def domains(self, recipe: MergeRecipe, settings: AdaMergeSettings) -> tuple[Domain, ...]:
        """The texts of each model's domain."""
        names = domains_in(self.tasks, self.items, self.scorer)
        if names is not None and self.prompts:
            raise typer.BadParameter("give either --tasks or --prompts; --items goes with --tasks")
        if self.prompts:
            return file_domains(self.prompts, settings)
        return task_domains(domains_of_models(recipe) if names is None else names, settings)

    def files(self) -> tuple[Path, Path]:
        """Log and state; raises InvalidValue for files that could not be written after the work."""
        stem = self.out.name.removesuffix(".yaml")
        log = self.log or self.out.with_name(stem + ".log.json")
        state = self.state or self.out.with_name(stem + ".state.json")
        if len({self.out, log, state}) < 3:
            raise InvalidValue(f"{self.out}: recipe, log and state must be three files.")
        for path in (self.out, log):
            check_target(path, overwrite=self.overwrite)
        check_file(state)
        return log, state


@dataclass_command
def adamerge(options: AdaMergeCommand) -> None:
    """Find merging coefficients from unlabelled prompts: AdaMerging, or Expert Merging."""
    settings, recipe = options.settings(), load_recipe(options.recipe)
    check_additive(recipe)
    domains = options.domains(recipe, settings)
    check_count(domains, recipe)
    log, state = options.files()
    from dppa_core.tuning.adamerging.adamerge import adamerge as run  # noqa: PLC0415  (imports torch)

    say = teller(quiet=options.as_json)

    def watch(snapshot: Snapshot) -> None:
        say(f"step {snapshot.step}: {_figures(snapshot)}")

    with progress_line() as progress:
        result = run(recipe, domains, settings, state=state, progress=progress, watch=watch)
    replace_file(log, json.dumps(result.to_json(), allow_nan=False, indent=1) + "\n")
    replace_file(options.out, dump_recipe(result.recipe))
    state.unlink(missing_ok=True)
    value = {"out": str(options.out), "log": str(log), **result.to_json()}
    emit(value, _text(result, options.out, log), as_json=options.as_json)


def _figures(snapshot: Snapshot) -> str:
    accuracy = "" if snapshot.accuracy is None else f", accuracy {100 * snapshot.accuracy:.1f} %"
    collapse = "; collapse: less entropy, worse answers" if snapshot.collapsed else ""
    return (
        f"entropy {snapshot.entropy:.4f}, perplexity {snapshot.perplexity:.3f}{accuracy}{collapse}"
    )


def _text(result: AdaMergeResult, out: Path, log: Path) -> str:
    best = result.best
    lines = [f"{out}: the coefficients after step {best.step}; {_figures(best)}"]
    rows = [
        [model.model, " ".join(f"{value:.4g}" for value in row)]
        for model, row in zip(result.recipe.models, best.coefficients, strict=True)
    ]
    head = ["model", "coefficient" if result.settings.per == "model" else "coefficient by layer"]
    lines.append(text_table(head, rows))
    if result.ended_early:
        lines.append(f"ended early: {result.settings.patience} checkpoints in a row collapsed")
    return "\n".join([*lines, f"log: {log}"])
