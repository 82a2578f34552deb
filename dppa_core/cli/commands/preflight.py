"""The command `preflight`: whether models can be merged, before anything is fetched."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dppa_core.checkpoints.sources.references import short_name
from dppa_core.cli.options import JsonFlag, recipe_or_models
from dppa_core.cli.output import emit, progress_line
from dppa_core.errors import many
from dppa_core.preflight_checks.facts import ORDER, Finding, Severity
from dppa_core.preflight_checks.fetchable_sets import fetchable_set
from dppa_core.preflight_checks.preflight_report import (
    PreflightReport,
    preflight_models,
    preflight_recipe,
)
from dppa_core.recipes.yaml_text import load_recipe

_MARKS = {"blocker": "✗", "warning": "!", "note": "·", "ok": "✓"}


def preflight(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="RECIPE|BASE MODEL…", help="A recipe file, or base and models."),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(hidden=True)] = None,
    preset: Annotated[str | None, typer.Option(help="Look at a set of `dppa presets`.")] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Read weights that are here: is this the base?")
    ] = False,
    format: Annotated[
        Literal["plain", "same"], typer.Option(help="same: as `dppa merge --format same`.")
    ] = "plain",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads to expect; every core if unset.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Tell whether models can be merged, and what it takes, before weights are fetched."""
    recipe, named = recipe_or_models(models, recipe)
    models = list(named) or None
    if [recipe, preset, models].count(None) != 2:
        raise typer.BadParameter("give RECIPE, or BASE MODEL…, or --preset NAME")
    if preset is not None:
        models = list(fetchable_set(preset).references)
    if models is not None and len(models) < 2:
        raise typer.BadParameter("name a recipe, or the base and then at least one domain model")
    with progress_line() as progress:
        settings: dict[str, Any] = {"measure": measure, "workers": workers, "progress": progress}
        settings["few_bits"] = format == "same"
        if models is not None:
            report = preflight_models(models[0], models[1:], **settings)
        else:
            report = preflight_recipe(load_recipe(Path(str(recipe))), **settings)
    emit(report.to_json(), report_text(report), as_json=as_json)
    if report.blockers:
        count = many(len(report.blockers), "finding stands", "findings stand")
        sys.stderr.write(f"dppa: {count} in the way of this merge.\n")
        raise typer.Exit(1)


def report_text(report: PreflightReport) -> str:
    """The findings model by model, the weightiest first, each with its reason and remedy."""
    lines = []
    findings = report.findings
    models = dict.fromkeys((report.base, *report.models, *(f.model for f in findings)))
    models.pop("", None)
    for model, heading in (*((model, model) for model in models), ("", "the merge")):
        details = [line for f in findings if f.model == model for line in _lines(f)]
        if details:
            lines += [heading, *details, ""]
    return "\n".join([*lines, _summary(report)])


def _lines(finding: Finding) -> list[str]:
    mark = _MARKS[finding.severity]
    lines = [f"  {mark} {finding.severity.value:<8} {finding.topic}: {finding.what}"]
    if finding.why and finding.severity is not Severity.OK:
        lines.append(f"{'':13}why: {finding.why}")
    if finding.remedy:
        lines.append(f"{'':13}do:  {finding.remedy}")
    return lines


def _several(count: int, severity: Severity) -> str:
    plural = "s" if count > 1 and severity is not Severity.OK else ""
    return f"{count} {severity.value}{plural}"


def _summary(report: PreflightReport) -> str:
    counts = {
        severity: sum(finding.severity is severity for finding in report.findings)
        for severity in reversed(ORDER)
    }
    totals = ", ".join(_several(count, severity) for severity, count in counts.items() if count)
    models = " + ".join(short_name(model) for model in report.models)
    warnings = counts[Severity.WARNING]
    ready = "cannot be merged as they are" if report.blockers else "can be merged"
    if warnings and not report.blockers:
        ready += f", with {_several(warnings, Severity.WARNING)}"
    return f"{short_name(report.base)} and {models} {ready}: {totals}."
