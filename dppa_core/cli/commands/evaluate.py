"""The command that measures: evaluate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dppa_core.charts.chart import chart_svg
from dppa_core.cli.cluster import (
    JudgeFolderOption,
    JudgeOption,
    JudgeRankOption,
    check_judge,
)
from dppa_core.cli.evaluation_text import evaluated_text, split_note
from dppa_core.cli.judged_scores import judged_scores
from dppa_core.cli.options import (
    FrameOption,
    ItemsOption,
    JsonFlag,
    MemoryOption,
    ScorerOption,
    check_plot,
    dataclass_command,
    domains_in,
    names_in,
)
from dppa_core.cli.output import emit, progress_line
from dppa_core.evaluation.scores import base_of
from dppa_core.recipes.recipe_argument import recipe_or_model
from dppa_core.recipes.yaml_text import MergeRecipe, load_recipe
from dppa_core.system.atomic_folders import check_file, replace_file
from dppa_core.system.frames import check_frame_file, write_frame
from dppa_core.tasks import DOMAINS, KNOWN_DOMAINS, OwnDomain
from dppa_core.tasks import items as items_of

if TYPE_CHECKING:
    from dppa_core.evaluation.examiner import Examiner
    from dppa_core.evaluation.side_by_side import Entrant
    from dppa_core.merging.in_memory.model_pool import ModelPool
    from dppa_core.progress import Progress


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of `dppa evaluate`."""

    target: Annotated[
        str, typer.Argument(metavar="RECIPE_OR_MODEL", help="A recipe file, or one model.")
    ]
    against: Annotated[
        Path | None, typer.Option(help="Another recipe, compared with the first item by item.")
    ] = None
    tasks: Annotated[
        str | None,
        typer.Option(help="Domains, as math,finance,law; all if neither text nor task is given."),
    ] = None
    items: ItemsOption = None
    scorer: ScorerOption = None
    split: Annotated[str, typer.Option(help="train, search or test; all of --items.")] = "test"
    limit: Annotated[int | None, typer.Option(min=1, help="Items per domain; all if unset.")] = None
    text: Annotated[
        Path | None,
        typer.Option(
            help="Perplexity on a text file, in windows that overlap; of an encoder the loss at "
            "masked tokens."
        ),
    ] = None
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Pairs of texts with scores, as JSON lines: do an encoder's vectors rank them so?"
        ),
    ] = None
    window: Annotated[int, typer.Option(min=2, help="Tokens of a window of the text.")] = 512
    stride: Annotated[
        int | None, typer.Option(min=1, help="Tokens between windows; half of one if unset.")
    ] = None
    lm_eval: Annotated[
        str | None, typer.Option(help="Tasks of lm-evaluation-harness, as arc_easy,piqa.")
    ] = None
    lm_eval_tasks: Annotated[
        Path | None,
        typer.Option(help="A folder of task files, in the place of its own; their code runs."),
    ] = None
    alone: Annotated[
        bool, typer.Option("--alone", help="Leave out base, models and plain merges.")
    ] = False
    behaviour: Annotated[
        bool,
        typer.Option(
            "--behaviour",
            help="How long answers are, how many run in loops, how far the model is from its base.",
        ),
    ] = False
    one_more: Annotated[
        bool,
        typer.Option(
            "--one-more",
            help="The loss of merges of one of the models, of two …, and what one more may bring.",
        ),
    ] = False
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw what --one-more finds, as SVG.")
    ] = None
    fresh: Annotated[bool, typer.Option("--fresh", help="Ignore cached answers.")] = False
    device_map: Annotated[
        str | None,
        typer.Option(
            help="Spread a model that fits on no device over all, memory and disk, by accelerate: "
            "auto, balanced, balanced_low_0, sequential."
        ),
    ] = None
    dtype: Annotated[
        str, typer.Option(help="What a spread model computes in: float32, bfloat16, float16.")
    ] = "float32"
    judge: JudgeOption = None
    judge_rank: JudgeRankOption = None
    judge_folder: JudgeFolderOption = None
    memory: MemoryOption = None
    frame: FrameOption = None
    as_json: JsonFlag = False


@dataclass_command
def evaluate(options: EvaluateOptions) -> None:
    """Score a merge beside its base, its models and plain merges, with 95 % intervals.

    Answers are kept in the cache: no question is asked twice.
    """
    target = recipe_or_model(options.target)
    recipe = target if isinstance(target, MergeRecipe) else None
    beside = recipe is not None and not options.alone
    domains = _checked_domains(options, target, beside=beside)
    from dppa_core.evaluation.entrant_measurements import harness_rows, text_rows  # noqa: PLC0415  (imports torch)
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415
    from dppa_core.evaluation.lm_eval_harness import Harness  # noqa: PLC0415
    from dppa_core.evaluation.perplexity import read_text  # noqa: PLC0415
    from dppa_core.evaluation.sentences.similarity import read_pairs, similarity_rows  # noqa: PLC0415

    # Unreadable inputs are refused before the first model is loaded.
    entrants = _entrants(options, recipe, domains, beside=beside)
    text = None if options.text is None else read_text(options.text)
    pairs = () if options.pairs is None else read_pairs(options.pairs)
    tasks = names_in(options.lm_eval, "--lm-eval names no task.")
    harness = Harness(tasks, options.lm_eval_tasks, options.limit) if tasks else None
    examiner = Examiner(_pool(options), fresh=options.fresh)
    value: dict[str, Any] = {}
    with progress_line() as progress:
        if domains:
            values, to_frame = _scores(options, examiner, entrants, domains, progress)
            value |= values
        if text is not None:
            windows: dict[str, Any] = {"window": options.window, "stride": options.stride}
            value["text"] = text_rows(examiner, entrants, text, **windows, progress=progress)
        if pairs:
            value["pairs"] = similarity_rows(entrants, pairs, progress)
        if harness is not None:
            value["lm_eval"] = harness_rows(examiner, entrants, harness, progress=progress)
        if options.one_more and recipe is not None:
            value["one_more"] = _one_more(options, examiner, recipe, domains, text, progress)
    if options.frame is not None:
        write_frame(to_frame(), options.frame)
    own_domains = [domain for domain in domains if isinstance(domain, OwnDomain)]
    notes = [split_note(domain, options.split) for domain in own_domains]
    notes += [f"{options.plot}: the curve, drawn"] if options.plot is not None else []
    emit(value, "\n".join([evaluated_text(value), *notes]), as_json=options.as_json)


def _scores(
    options: EvaluateOptions,
    examiner: Examiner,
    entrants: Sequence[Entrant],
    domains: Sequence[str],
    progress: Progress | None,
) -> tuple[dict[str, Any], Callable[[], Any]]:
    """Scores of one entrant, or of several side by side: plain values, and the data frame."""
    from dppa_core.evaluation.entrant_measurements import measure  # noqa: PLC0415  (imports torch)
    from dppa_core.evaluation.side_by_side_values import side_by_side_json  # noqa: PLC0415
    from dppa_core.models.drafted_answers import MAX_REPLY_TOKENS  # noqa: PLC0415

    exam: dict[str, Any] = {"split": options.split, "limit": options.limit, "progress": progress}
    limits: dict[str, Any] = {}
    if options.behaviour:
        exam["behaviour"] = True
        most = {d: d.tokens if isinstance(d, OwnDomain) else None for d in domains}
        limits["reply_limits"] = {d: tokens or MAX_REPLY_TOKENS for d, tokens in most.items()}
    if options.judge is not None:
        server = options.judge, options.judge_rank, options.judge_folder
        values, to_frame = judged_scores(*server, entrants, domains, exam)
        return values | limits, to_frame
    if options.behaviour:
        exam["base"] = base_of(entrants[-1].target)
    if len(entrants) == 1:
        evaluation = examiner.evaluation(entrants[0].target, domains, **exam)
        return {**evaluation.to_json(), "label": entrants[0].label, **limits}, evaluation.to_frame
    side = measure(examiner, entrants, domains, **exam)
    return {**side_by_side_json(side), **limits}, side.to_frame


def _one_more(
    options: EvaluateOptions,
    examiner: Examiner,
    recipe: MergeRecipe,
    domains: Sequence[str],
    text: str | None,
    progress: Progress | None,
) -> dict[str, Any]:
    """What each further model of a recipe brings, as plain values; draws it if asked."""
    from dppa_core.evaluation.analysis.one_more import loss_curve  # noqa: PLC0415  (imports torch)

    exam: dict[str, Any] = {"split": options.split, "limit": options.limit, "progress": progress}
    curve = loss_curve(examiner, recipe, domains, text or "", **exam)
    if options.plot is not None:
        replace_file(options.plot, chart_svg(curve.chart()))
    return curve.to_json()


def _checked_domains(
    options: EvaluateOptions, target: str | MergeRecipe, *, beside: bool
) -> list[str]:
    """The domains to ask about; raises for options that do not go together."""
    _check_judge(options)
    if options.against is not None and not beside:
        raise typer.BadParameter("--against compares two recipes, side by side")
    if options.lm_eval_tasks is not None and options.lm_eval is None:
        raise typer.BadParameter("--lm-eval-tasks is where the tasks of --lm-eval lie")
    if options.one_more and not isinstance(target, MergeRecipe):
        raise typer.BadParameter("--one-more takes a recipe, and leaves some of its models out")
    if options.plot is not None:
        if not options.one_more:
            raise typer.BadParameter("--plot draws what --one-more finds")
        check_plot(options.plot)
        check_file(options.plot)
    check_frame_file(options.frame)
    nothing = f"--tasks names no domain. Known: {', '.join(KNOWN_DOMAINS)}."
    domains = domains_in(options.tasks, options.items, options.scorer, nothing)
    if domains is None:
        others = (options.text, options.pairs, options.lm_eval)
        domains = list(DOMAINS) if all(other is None for other in others) else []
    if options.one_more and not domains and options.text is None:
        raise typer.BadParameter("--one-more measures losses: name --tasks, --items or --text")
    domains = list(dict.fromkeys(domains))
    for domain in domains:  # before a model is loaded
        items_of(domain, options.split, 1)
    if options.frame is not None and not domains:
        raise typer.BadParameter("--frame is a table of domains; name some by --tasks or --items")
    return domains


def _check_judge(options: EvaluateOptions) -> None:
    """Raise for what a vLLM server does not measure."""
    check_judge(options.judge, options.judge_rank, options.judge_folder)
    others: dict[str, object] = {
        "--text": options.text,
        "--pairs": options.pairs,
        "--lm-eval": options.lm_eval,
        "--one-more": options.one_more,
        "--device-map": options.device_map,
        "--dtype": options.dtype != "float32",
    }
    given = ", ".join(option for option, value in others.items() if value)
    if options.judge is not None and given:
        raise typer.BadParameter(
            f"a vLLM server only answers questions: leave {given} or --judge out"
        )


def _entrants(
    options: EvaluateOptions, recipe: MergeRecipe | None, domains: Sequence[str], *, beside: bool
) -> tuple[Entrant, ...]:
    from dppa_core.evaluation.side_by_side import Entrant, entrants  # noqa: PLC0415  (imports torch)

    target, against = options.target, options.against
    if recipe is None or not beside:
        return (Entrant("recipe" if recipe else target, Path(target).stem, recipe or target),)
    # As many files as models: one for each, in the recipe's order.
    own_domains = [domain for domain in domains if isinstance(domain, OwnDomain)]
    models = [model.model for model in recipe.models]
    trained_for = (
        dict(zip(models, own_domains, strict=True)) if len(own_domains) == len(models) else {}
    )
    return entrants(recipe, load_recipe(against) if against else None, trained_for)


def _pool(options: EvaluateOptions) -> ModelPool | None:
    """The pool of a device map; None for the memory of this process."""
    if options.device_map is None and options.dtype == "float32":
        return None
    from dppa_core.merging.in_memory.device_map_pool import SpreadModelPool  # noqa: PLC0415  (only for models that fit on no device)

    return SpreadModelPool(options.device_map or "auto", options.dtype)
