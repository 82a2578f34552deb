"""The command that runs the paper's experiments: reproduce."""

from __future__ import annotations

import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dppa_core.cli.options import (
    ItemsOption,
    JsonFlag,
    MemoryOption,
    ScorerOption,
    domains_in,
    names_in,
)
from dppa_core.cli.output import emit, message_if_stopped, teller
from dppa_core.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dppa_core.charts.report import ExperimentsReport
    from dppa_lab.experiments.setting import Setting
    from dppa_lab.experiments.steps import Declared


def reproduce(
    experiments: Annotated[
        list[str] | None, typer.Argument(metavar="[EXPERIMENT]…", help="Some of them; see --list.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All of them: about 90 minutes of a core from nothing.")
    ] = False,
    out: Annotated[
        Path, typer.Option(help="Folder of the results and of the journal; a run goes on there.")
    ] = Path("experiments"),
    preset: Annotated[
        str, typer.Option(help="embedded, a set that `dppa presets` lists, or a YAML file of one.")
    ] = "embedded",
    tasks: Annotated[
        str | None, typer.Option(help="The domain of each model of a set, as math,finance,law.")
    ] = None,
    items: ItemsOption = None,
    scorer: ScorerOption = None,
    lm_eval: Annotated[
        str | None,
        typer.Option(help="Or a task of lm-evaluation-harness for each model, as gsm8k,piqa."),
    ] = None,
    lm_eval_tasks: Annotated[
        Path | None, typer.Option(help="A folder of task files of one's own; their code runs.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Test items a domain; 0 for all.")] = 200,
    search_limit: Annotated[int, typer.Option(min=1, help="Search items a domain.")] = 64,
    sizes: Annotated[
        Path, typer.Option(help="Where `dppa zoo train --size` put models of other sizes.")
    ] = Path("out/sizes"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes, one thread each; every core if unset.")
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Or ask nothing, and tell what is known.")
    ] = True,
    catalogue: Annotated[bool, typer.Option("--list", help="List them, run nothing.")] = False,
    memory: MemoryOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Run the paper's experiments, and those on its open questions; a stopped run goes on.

    Every answer is kept: no run asks a question that another has asked.
    """
    from dppa_lab.experiments.paper.registry import EXPERIMENTS, experiments_named  # noqa: PLC0415  (torch)

    if catalogue:
        names = ("key", "number", "title", "question")
        listed = [{name: getattr(experiment, name) for name in names} for experiment in EXPERIMENTS]
        emit(listed, _list(EXPERIMENTS), as_json=as_json)
        return
    if every == bool(experiments):
        raise InvalidValue(
            "Name the experiments to run, or --all of them. `dppa reproduce --list` names them."
        )
    selected = EXPERIMENTS if every else experiments_named(experiments or ())
    from dppa_lab.experiments.presets import preset_setting  # noqa: PLC0415  (torch)

    setting = preset_setting(
        preset,
        **_domain_arguments(domains_in(tasks, items, scorer, "--tasks names nothing."), lm_eval),
        folder=lm_eval_tasks,
        test=limit or None,
        search=search_limit,
        sizes=sizes,
    )
    with message_if_stopped(lambda: "Stopped. Answers are kept: run the same command to continue."):
        report = _run(selected, setting, out, workers if ask else 0, teller(quiet=as_json))
    from dppa_core.charts.report import report_json  # noqa: PLC0415

    emit(report_json(report), _report_text(report, out), as_json=as_json)
    if ask and not any(experiment.findings for experiment in report.experiments):
        raise typer.Exit(1)


def _domain_arguments(named: list[str] | None, lm_eval: str | None) -> dict[str, list[str] | None]:
    harness = names_in(lm_eval, "--lm-eval names nothing.")
    if named and harness:
        raise InvalidValue(
            "Give either --tasks and --items, or --lm-eval: a model is asked one kind of items."
        )
    return {"tasks": named, "lm_eval": harness}


def _run(
    selected: Sequence[Declared],
    setting: Setting,
    out: Path,
    count: int | None,
    say: Callable[[str], None],
) -> ExperimentsReport:
    if setting.hindrance:
        raise InvalidValue(f"{setting.title} cannot be run here: {setting.hindrance}.")
    from dppa_core.system.threads import worker_count  # noqa: PLC0415
    from dppa_lab.experiments.processes import nobody, workers  # noqa: PLC0415
    from dppa_lab.experiments.report_page import write_page  # noqa: PLC0415
    from dppa_lab.experiments.runner import run_all  # noqa: PLC0415  (torch)

    with nullcontext(nobody) if count == 0 else workers(worker_count(count)) as answering:
        command = shlex.join(["dppa", *sys.argv[1:]])
        report = run_all(selected, setting, out, answering, command, say)
    write_page(report, out)
    return report


def _list(experiments: Sequence[Declared]) -> str:
    keys = max(len(experiment.key) for experiment in experiments)
    return "\n".join(
        f"{experiment.number:<4}{experiment.key:<{keys}}  {experiment.title}"
        for experiment in experiments
    )


def _report_text(report: ExperimentsReport, out: Path) -> str:
    """The first table of each experiment, or why it was not run."""
    lines = []
    for experiment in report.experiments:
        lines.append(f"{experiment.number} {experiment.title}")
        if experiment.findings is None:
            lines.append(f"  not run: {experiment.not_run}")
        else:
            lines += [table.text() for table in experiment.findings.tables[:1]]
            lines += [f"  left out: {reason}" for reason in experiment.findings.missing]
    ran = any(experiment.findings for experiment in report.experiments)
    lines.append(f"{out}: experiments.json, experiments.md{' and its plots' if ran else ''}")
    return "\n".join(lines)
