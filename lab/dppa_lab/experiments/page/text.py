"""The results as a Markdown page with SVG plots; every number comes from the report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from dppa_core.charts.chart import chart_svg
from dppa_core.charts.report import Chart, Experiment, ExperimentsReport, Heatmap
from dppa_core.charts.svg import heatmap_svg
from dppa_core.system.atomic_folders import replace_file, unwritable
from dppa_lab.experiments.overview import KEY
from dppa_lab.experiments.score_table import lasting

PAGE, PLOTS = "experiments.md", "experiments"
OTHERS = (
    "Not run: the sets of the Hub that `dppa presets` lists, the paper's Llama 2 7B among them. "
    "`dppa reproduce --preset NAME` asks them the same."
)


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
        _picture(one, place): chart_svg(plot) if isinstance(plot, Chart) else heatmap_svg(plot)
        for one in report.experiments
        if one.findings
        for place, plot in enumerate(one.findings.plots)
    }


def page(report: ExperimentsReport) -> str:
    """The whole page."""
    overview = any(one.key == KEY for one in report.experiments)
    parts = ["# The experiments" + ("" if overview else f" ({report.setting['title']})")]
    for one in report.experiments:
        parts += _opening(one) if one.key == KEY else []
    parts += [*_summary(report), "## Models, items and time", *_head(report, overview)]
    for one in report.experiments:
        parts += _experiment(one)
    return "\n\n".join(parts) + "\n"


def _opening(one: Experiment) -> list[str]:
    """The overview in plain sentences, its first plot, and all findings, one a line."""
    if one.findings is None:
        return []
    first = one.findings.plots[0]
    plain, all_found = (
        "\n".join(f"- {sentence}" for sentence in re.split(r"(?<=\.) (?=\D)", text))
        for text in (one.findings.short, one.findings.finding)
    )
    return [
        f"## {one.title}",
        plain,
        f"![{first.title}]({PLOTS}/{_picture(one, 0)})",
        *([first.how] if isinstance(first, Heatmap) and first.how else []),
        "### With all numbers",
        all_found,
    ]


def _summary(report: ExperimentsReport) -> list[str]:
    """The findings, one line per experiment that has a short one; the README copies it."""
    found = [
        (one, one.findings.short) for one in report.experiments if one.findings and one.key != KEY
    ]
    lines = [f"- {one.title} ({one.number}): {short}" for one, short in found if short]
    return ["## In short", "\n".join(lines)] if lines else []


def _head(report: ExperimentsReport, overview: bool) -> list[str]:
    given = report.setting
    test = given["test_items"] or "all"
    models = ", ".join(f"{one['model']} ({one['domain']})" for one in given["models"])
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    together = [one.cost for one in report.experiments if not one.made]
    processor = sum(cost.processor for cost in together)
    wall = sum(cost.wall for cost in together)
    known = sum(cost.known for cost in together)
    left = [one.title for one in report.experiments if one.not_run]
    lines = [
        f"{'Of all but the overview. ' if overview else ''}{given['title']}: {models} on "
        f"{given['base']}. {test} test items a domain; settings are chosen on "
        f"{given['search_items']} search items a domain, which are others. In brackets: 95 % "
        "intervals; of means over random draws Student's, of items and draws. Mean retention is "
        "the geometric mean of the domains': low where one of them is. Intervals are those of one "
        "comparison; a sentence on several says better or worse by p-values corrected for their "
        "number (Holm). An answer, as they are counted below, is one model or merge asked all its "
        "items of a domain, or one run of AdaMerging.",
        f"Made by `{report.command}` on {report.machine} ({versions}): {lasting(processor)} of "
        f"processor, {lasting(wall)} by the clock, added up over experiments and runs; other work "
        "may have been beside them."
        + (f" {known} answers were known before and are not in these times." if known else ""),
    ]
    if given["base"].startswith("zoo:"):
        lines.append(OTHERS)
    if left:
        lines.append(f"Not run: {'; '.join(left)}.")
    return lines


def _experiment(one: Experiment) -> list[str]:
    parts = [f"## {one.number}. {one.title}", one.question]
    if one.findings is None:
        return [*parts, f"**Not run**: {one.not_run}"]
    found = one.findings
    first = 1 if one.key == KEY else 0
    if not first:
        parts.append(f"**What was found.** {found.finding}")
    parts += [
        f"![{plot.title}]({PLOTS}/{_picture(one, place)})"
        for place, plot in enumerate(found.plots)
        if place >= first
    ]
    parts.append(f"**How.** {one.measured}")
    for table in found.tables:
        parts += [f"**{table.title}**", table.markdown()]
    parts += [f"**Left out.** {what}" for what in found.missing]
    return [*parts, _made(one)]


def _made(one: Experiment) -> str:
    if not one.cost.answers:
        return f"Made by `{one.made}`."
    return (
        f"`{one.key}`: {one.cost.answers} answers, {lasting(one.cost.processor)} of processor, "
        f"{lasting(one.cost.wall)} by the clock{f'; run apart, {one.made}' if one.made else ''}."
    )


def _picture(one: Experiment, place: int) -> str:
    return f"{one.key}-{place + 1}.svg"
