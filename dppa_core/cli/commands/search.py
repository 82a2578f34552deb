"""The command that searches for the best merge: search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dppa_core.cli.cluster import (
    ExamPlace,
    JudgeFolderOption,
    JudgeOption,
    JudgeRankOption,
    RayOption,
    exam_place,
)
from dppa_core.cli.options import (
    FrameOption,
    ItemsOption,
    JsonFlag,
    MemoryOption,
    OverwriteFlag,
    RecipeFile,
    ScorerOption,
    TasksOption,
    check_target,
    dataclass_command,
    domains_in,
)
from dppa_core.cli.output import emit, message_if_stopped, progress_line, teller
from dppa_core.cli.search_options import check_study, search_in_lines, settled_options
from dppa_core.cli.search_text import search_text
from dppa_core.errors import InvalidValue
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, load_recipe
from dppa_core.system.atomic_folders import check_file, replace_file
from dppa_core.system.frames import check_frame_file, write_frame
from dppa_core.tuning.search.options import TRIALS, SearchOptions, options_for

if TYPE_CHECKING:
    from dppa_core.tuning.search.results import SearchResult
    from dppa_core.tuning.search.verdict import BaselineMerge, DomainVerdict

    Verdict = tuple[tuple[DomainVerdict, ...], tuple[BaselineMerge, ...]]


@dataclass(frozen=True)
class SearchCommand:
    """The options of `dppa search`."""

    recipe: RecipeFile
    out: Annotated[Path, typer.Option(help="The recipe to write, with what was found.")]
    tasks: TasksOption = None
    items: ItemsOption = None
    scorer: ScorerOption = None
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Search items per domain: 64, and 200 with --joint, if unset."),
    ] = None
    test_limit: Annotated[
        int | None,
        typer.Option(min=0, help="Test items per domain at the end; all if unset, 0 for none."),
    ] = None
    state: Annotated[
        Path | None,
        typer.Option(help="Where a stopped climb or joint search waits; OUT with .search.json."),
    ] = None
    joint: Annotated[
        bool, typer.Option("--joint", help="Factors, coefficient and strength chosen together.")
    ] = False
    per_model: Annotated[
        bool, typer.Option("--per-model", help="With --joint: factors of each model.")
    ] = False
    vary: Annotated[
        list[str] | None,
        typer.Option(help="Search by Optuna: a setting, as rate=0.5:0.95, method=dppa,ties."),
    ] = None
    grid: Annotated[
        list[str] | None, typer.Option(help="Two settings, every pair: rate=0.5:0.9:0.1.")
    ] = None
    space: Annotated[Path | None, typer.Option(help="Or a YAML file with `search:`.")] = None
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="retention, worst, retention.DOMAIN; behind it those of which less is better: "
            "density, length, loops, kl. Several give a front. With --joint: accuracy or loss."
        ),
    ] = None
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Settings, earlier ones included: {TRIALS} by Optuna if unset; 24 with --joint, "
            "or 4 for each number if that is more.",
        ),
    ] = None
    study: Annotated[
        Path | None, typer.Option(help="SQLite file of the study; OUT with .study.db.")
    ] = None
    name: Annotated[str, typer.Option(help="Of the study in that file.")] = "dppa"
    sampler: Annotated[str, typer.Option(help="tpe, nsga2 or random.")] = "tpe"
    seed: Annotated[int, typer.Option(min=0, help="Of the sampler.")] = 0
    prune: Annotated[bool, typer.Option(help="Give trials without hope up early.")] = True
    overwrite: OverwriteFlag = False
    ray: RayOption = None
    judge: JudgeOption = None
    judge_rank: JudgeRankOption = None
    judge_folder: JudgeFolderOption = None
    memory: MemoryOption = None
    frame: FrameOption = None
    as_json: JsonFlag = False

    def search_options(self, recipe: MergeRecipe) -> SearchOptions:
        """The options of the search, with those of a file."""
        check_study(self.study)
        options = SearchOptions(
            tuple(self.vary or ()),
            tuple(self.grid or ()),
            self.joint,
            self.per_model,
            tuple(self.objective or ()),
            self.trials or 0,
            self.limit or 0,
            self.sampler,
            self.seed,
            self.prune,
            "" if self.judge is None else f"vLLM, --judge-rank {self.judge_rank}",
        )
        return settled_options(options, self.space, recipe)

    def state_file(self, *, in_study: bool) -> Path:
        """The file of a stopped search, which must be none of the others."""
        path, ending = (self.study, ".study.db") if in_study else (self.state, ".search.json")
        state = path or self.out.with_name(self.out.name.removesuffix(self.out.suffix) + ending)
        check_target(self.out, overwrite=self.overwrite)
        if state.resolve() in (self.out.resolve(), self.recipe.resolve()):
            raise InvalidValue(f"{state}: it, --out and RECIPE must be three files.")
        check_file(state)
        return state


@dataclass_command
def search(options: SearchCommand) -> None:
    """Find the best merge: by the paper's climb, by --joint, by Optuna (--vary), or on a --grid.

    Settings are chosen on the search split; the result is scored on the test split.
    """
    recipe = load_recipe(options.recipe)
    domains = domains_in(options.tasks, options.items, options.scorer)
    settings = options.search_options(recipe)
    state = options.state_file(in_study=settings.in_study)
    check_frame_file(options.frame)
    say = teller(quiet=options.as_json)
    if settings.in_study:
        options_for(settings, recipe)  # a mistake is reported before any model is read
    judge = options.judge, options.judge_rank, options.judge_folder
    with (
        exam_place(options.ray, recipe, *judge) as place,
        message_if_stopped(lambda: _left(state)),
    ):
        if place.judge:
            say(place.judge.sentence())
        result = search_in_lines(recipe, settings, place, domains, say, state, options.name)
        verdict, baselines = _verdict(place, result, recipe, domains, options.test_limit)
        for baseline in baselines:
            if baseline.comparison.difference.value < 0:
                say(f"On the test items: {baseline.sentence()}")
        replace_file(options.out, dump_recipe(result.recipe))
        if options.frame is not None:
            write_frame(result.to_frame(), options.frame)
    value: dict[str, Any] = {"out": str(options.out)}
    if settings.in_study:
        value["study"] = str(state)
    else:
        state.unlink(missing_ok=True)
    value |= result.to_json() | _verdict_json(verdict, baselines)
    counts = _item_counts(result.recipe, domains, settings.limit)
    text = search_text(result, verdict, baselines, options.out, counts)
    if place.judge:
        value["judge"] = place.judge.to_json(result.recipe)
        text = f"{text}\n{place.judge.sentence()}"
    emit(value, text, as_json=options.as_json)


def _left(state: Path) -> str:
    """A line on the scores that a stopped search leaves."""
    if state.exists():
        return f"\nStopped. Scores are in {state}: run the same command to continue."
    return "\nStopped before a first score: nothing is kept."


def _item_counts(recipe: MergeRecipe, tasks: list[str] | None, limit: int) -> tuple[int, int]:
    """The fewest and the most search items of a domain."""
    from dppa_core.tuning.search.scoring import domains_for, item_counts  # noqa: PLC0415  (torch)

    return item_counts(domains_for(recipe, tasks), limit)


def _verdict(
    place: ExamPlace,
    result: SearchResult,
    original: MergeRecipe,
    tasks: list[str] | None,
    limit: int | None,
) -> Verdict:
    """Scores on the test items, and of merges to compare with; empty for a limit of 0."""
    from dppa_core.tuning.search.scoring import domains_for  # noqa: PLC0415  (torch)
    from dppa_core.tuning.search.verdict import rivals, verdicts  # noqa: PLC0415  (torch)

    if limit == 0:
        return (), ()
    recipe, goals = result.recipe, result.options.objectives
    domains = domains_for(recipe, tasks)
    with progress_line() as progress:

        def watch(exam: str) -> None:
            if progress:
                progress(0, 0, exam)

        exam: dict[str, Any] = {"limit": limit, "watch": watch}
        verdict = verdicts(recipe, domains, place.ask, objectives=goals, **exam)
        return verdict, rivals(recipe, original, verdict, place.ask, **exam)


def _verdict_json(
    verdict: Sequence[DomainVerdict], baselines: Sequence[BaselineMerge]
) -> dict[str, Any]:
    from dppa_core.evaluation.side_by_side_values import interval_json  # noqa: PLC0415  (torch)
    from dppa_core.tuning.search.verdict import mean_retention  # noqa: PLC0415

    return {
        "test": [of_domain.to_json() for of_domain in verdict],
        "retention": interval_json(mean_retention(verdict)) if verdict else None,
        "beside": [baseline.to_json() for baseline in baselines],
    }
