"""The results of a run as a Markdown page with SVG plots."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dppa_core.charts.chart import chart_svg
from dppa_core.charts.heatmap import heatmap_svg
from dppa_core.charts.plots import Chart
from dppa_core.charts.report import Experiment, ExperimentsReport
from dppa_core.system.atomic_folders import replace_file, unwritable
from dppa_lab.experiments.score_table import lasting

PAGE, PLOTS = "experiments.md", "experiments"


def write_page(report: ExperimentsReport, folder: Path) -> None:
    """Write the page and its plots, and remove unused plots; raises InvalidValue if it cannot."""
    plots, pictures = folder / PLOTS, pictures_of(report)
    try:
        plots.mkdir(parents=True, exist_ok=True)
        for old in plots.glob("*.svg"):
            if old.name not in pictures:
                old.unlink()
    except OSError as error:
        raise unwritable(plots, error) from error
    for name, text in pictures.items():
        replace_file(plots / name, text)
    replace_file(folder / PAGE, page(report))


def pictures_of(report: ExperimentsReport) -> Mapping[str, str]:
    """File name -> SVG, of all plots."""
    return {
        _picture(experiment, place): (
            chart_svg(plot) if isinstance(plot, Chart) else heatmap_svg(plot)
        )
        for experiment in report.experiments
        if experiment.findings
        for place, plot in enumerate(experiment.findings.plots)
    }


def page(report: ExperimentsReport) -> str:
    """The whole page."""
    setting = report.setting
    models = ", ".join(f"{model['model']} ({model['domain']})" for model in setting["models"])
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    parts = [
        f"# The experiments ({setting['title']})",
        f"{models} on {setting['base']}. {setting['test_items'] or 'All'} test items a domain; "
        f"settings are chosen on {setting['search_items']} search items, which are others. In "
        "brackets: 95 % intervals, each of one comparison.",
        f"Made by `{report.command}` on {report.machine} ({versions}).",
    ]
    return "\n\n".join([*parts, *map(_section, report.experiments)]) + "\n"


def _section(experiment: Experiment) -> str:
    parts = [f"## {experiment.number}. {experiment.title}", experiment.question]
    results, cost = experiment.findings, experiment.cost
    if results is None:
        return "\n\n".join([*parts, f"**Not run**: {experiment.not_run}"])
    parts += [
        f"![{plot.title}]({PLOTS}/{_picture(experiment, place)})"
        for place, plot in enumerate(results.plots)
    ]
    parts.append(f"**How.** {experiment.measured}")
    for table in results.tables:
        parts += [f"**{table.title}**", table.markdown()]
    parts += [f"**Left out.** {reason}" for reason in results.missing]
    time = f"{lasting(cost.processor)} of processor, {lasting(cost.wall)} by the clock"
    return "\n\n".join([*parts, f"`{experiment.key}`: {cost.answers} answers, {time}."])


def _picture(experiment: Experiment, place: int) -> str:
    return f"{experiment.key}-{place + 1}.svg"
