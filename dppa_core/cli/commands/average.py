"""The command that averages the checkpoints of a training: average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from dppa_core.charts.chart import chart_svg
from dppa_core.charts.tables import text_table
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.cli.options import (
    ItemsOption,
    JsonFlag,
    MemoryOption,
    OverwriteFlag,
    ScorerOption,
    check_plot,
    check_target,
    dataclass_command,
    domains_in,
)
from dppa_core.cli.output import emit, progress_line
from dppa_core.errors import InvalidValue
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe
from dppa_core.system.atomic_folders import replace_file
from dppa_core.tuning.training_run import RunCourse, Saved, mean_of, measure_run, saved_in


@dataclass(frozen=True)
class AverageOptions:
    """The options of `dppa average`."""

    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a training, with its checkpoints.")
    ]
    out: Annotated[Path, typer.Option(help="The recipe to write: merge it with dppa merge.")]
    last: Annotated[
        int | None,
        typer.Option(min=1, help="How many of them; what --text or questions find if unset."),
    ] = None
    weights: Annotated[str, typer.Option(help="equal, linear (rising) or exponential.")] = "equal"
    half_life: Annotated[
        float | None, typer.Option(help="Steps after which an exponential weight is half.")
    ] = None
    text: Annotated[
        Path | None, typer.Option(help="A text whose loss is measured along the run, and decides.")
    ] = None
    tasks: Annotated[str | None, typer.Option(help="Domains whose search items decide.")] = None
    items: ItemsOption = None
    scorer: ScorerOption = None
    limit: Annotated[
        int | None, typer.Option(min=1, help="Search items per domain; all if unset.")
    ] = None
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the course of the run, as SVG.")
    ] = None
    overwrite: OverwriteFlag = False
    memory: MemoryOption = None
    as_json: JsonFlag = False


@dataclass_command
def average(options: AverageOptions) -> None:
    """Average the last checkpoints of a training: any number of them, or the best number.

    Each checkpoint and each mean of the last two, three … is scored on a text or on questions.
    """
    run, domains = saved_in(options.run), domains_in(options.tasks, options.items, options.scorer)
    last = _checked(options, run, decides=bool(options.text or domains))
    check_plot(options.plot)
    for path in (options.out, options.plot):
        if path is not None:
            check_target(path, overwrite=options.overwrite)
    course = _measured(options, run, domains) if options.text or domains else None
    last = last or (course.best.checkpoints if course else 1)
    recipe = mean_of(run[-last:], options.weights, options.half_life)
    replace_file(options.out, dump_recipe(recipe))
    value = {"out": str(options.out), "models": [model.model for model in recipe.models]}
    weights = ", ".join(f"{model.coefficient:.3g}" for model in recipe.models)
    steps = ", ".join(str(saved.step) for saved in run[-last:])
    which = f"mean of the last {last}" if last > 1 else "last"
    lines = [f"{options.out}: the {which} of {len(run)} checkpoints"]
    lines += [f"steps {steps}; weights {weights}"]
    if course is not None and (alone := course.better_alone) is not None:
        lines.append(f"step {alone.step} alone measures better than any mean: {alone.folder}")
    if course is not None and options.plot is not None:
        replace_file(options.plot, chart_svg(course.chart()))
        lines.append(f"{options.plot}: the course of the run, drawn")
    emit(
        value | (course.to_json() if course else {}),
        "\n".join([*lines, *([_text(course)] if course else [])]),
        as_json=options.as_json,
    )


def _checked(options: AverageOptions, run: tuple[Saved, ...], *, decides: bool) -> int | None:
    if options.text and (options.tasks or options.items):
        raise InvalidValue("--text and questions measure different things: give one of them.")
    if options.last is not None and options.last > len(run):
        raise InvalidValue(f"--last is at most the number of checkpoints, {len(run)}.")
    if options.last is None and not decides:
        raise InvalidValue(
            f"How many of {len(run)} checkpoints? Give --last, or what decides: --text, "
            "--tasks or --items."
        )
    if options.plot is not None and not decides:
        raise InvalidValue("--plot draws what --text, --tasks or --items measure: give one.")
    if options.half_life is not None and options.weights != "exponential":
        raise InvalidValue("--half-life belongs to --weights exponential.")
    mean_of(run[-(options.last or 1) :], options.weights, options.half_life)
    for saved in run[-options.last :] if options.last else run:
        open_checkpoint(str(saved.folder))  # its headers: one that is not complete is named
    return options.last


def _measured(
    options: AverageOptions, run: tuple[Saved, ...], domains: list[str] | None
) -> RunCourse:
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (imports torch)
    from dppa_core.evaluation.perplexity import perplexity, read_text  # noqa: PLC0415
    from dppa_core.tuning.soup import SPLIT, exact_mean  # noqa: PLC0415

    examiner = Examiner(keep=False)
    text = read_text(options.text) if options.text else ""

    def loss(target: str | MergeRecipe) -> float:
        return perplexity(examiner.pool.get(target), text).loss.value

    def right(target: str | MergeRecipe) -> float:
        asked = examiner.evaluation(target, domains or (), split=SPLIT, limit=options.limit)
        return 100 * float(exact_mean(asked))

    score: Callable[[str | MergeRecipe], float] = loss if options.text else right
    about: dict[str, Any] = {"schedule": options.weights, "half_life": options.half_life}
    measure = "loss of the text, nats per token" if options.text else "right search items, %"
    with progress_line() as progress:
        return measure_run(
            *(run, score),
            measure=measure,
            rises=not options.text,
            progress=progress,
            **about,
        )


def _text(course: RunCourse) -> str:
    means = [f"{window.value:.4g}" for window in reversed(course.windows)]
    rows = [
        [str(saved.step), f"{value:.4g}", mean, str(len(course.run) - place)]
        for place, (saved, value, mean) in enumerate(
            zip(course.run, course.alone, means, strict=True)
        )
    ]
    head = ["step", "checkpoint", "mean from here on", "checkpoints in it"]
    return f"{course.measure}; what decides is no test: score the merge on something else\n" + (
        text_table(head, rows)
    )
