"""The command that searches for the best merge: search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dppa_core.cli.cluster import ExamPlace, RayOption, exam_place
from dppa_core.cli.commands.search_study import (
    StudyOptions,
    check_study,
    from_file,
    run_jointly,
    run_wanted,
    study_settings,
)
from dppa_core.cli.output import (
    FrameOption,
    ItemsOption,
    JsonFlag,
    MemoryOption,
    OverwriteFlag,
    RecipeFile,
    ScorerOption,
    TasksOption,
    check_target,
    domains_in,
    emit,
    progress_line,
    teller,
    told_if_stopped,
)
from dppa_core.cli.search_text import climb_text, joint_text, study_text
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.tables import factors_text
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, load_recipe
from dppa_core.system.atomic_folders import check_file, replace_file
from dppa_core.system.frames import check_frame_file, write_frame
from dppa_core.tuning.search.space import TRIALS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dppa_core.tuning.search.climb import ClimbResult
    from dppa_core.tuning.search.greedy_factors import Trial
    from dppa_core.tuning.search.joint_run import JointResult
    from dppa_core.tuning.search.studied import StudyState
    from dppa_core.tuning.search.verdict import BaselineMerge, DomainVerdict


def search(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option(help="The recipe to write, with what was found.")],
    tasks: TasksOption = None,
    items: ItemsOption = None,
    scorer: ScorerOption = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Search items per domain: 64, and 200 with --joint, if unset."),
    ] = None,
    test_limit: Annotated[
        int | None,
        typer.Option(min=0, help="Test items per domain at the end; all if unset, 0 for none."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Where a stopped climb or joint search waits; OUT with .search.json."),
    ] = None,
    joint: Annotated[
        bool, typer.Option("--joint", help="Factors, coefficient and strength chosen together.")
    ] = False,
    per_model: Annotated[
        bool, typer.Option("--per-model", help="With --joint: factors of each model.")
    ] = False,
    vary: Annotated[
        list[str] | None,
        typer.Option(help="Search by Optuna: a setting, as rate=0.5:0.95, method=dppa,ties."),
    ] = None,
    grid: Annotated[
        list[str] | None, typer.Option(help="Two settings, every pair: rate=0.5:0.9:0.1.")
    ] = None,
    space: Annotated[Path | None, typer.Option(help="Or a YAML file with `search:`.")] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="retention, worst, retention.DOMAIN, density; several give a front. With --joint: "
            "accuracy or loss."
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Settings, earlier ones included: {TRIALS} by Optuna if unset; 24 with --joint, "
            "or 4 for each number if that is more.",
        ),
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="SQLite file of the study; OUT with .study.db.")
    ] = None,
    name: Annotated[str, typer.Option(help="Of the study in that file.")] = "dppa",
    sampler: Annotated[str, typer.Option(help="tpe, nsga2 or random.")] = "tpe",
    seed: Annotated[int, typer.Option(min=0, help="Of the sampler.")] = 0,
    prune: Annotated[bool, typer.Option(help="Give trials without hope up early.")] = True,
    overwrite: OverwriteFlag = False,
    ray: RayOption = None,
    memory: MemoryOption = None,
    frame: FrameOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Find the best merge: by the paper's climb, by --joint, by Optuna (--vary), or on a --grid.

    Settings are chosen on the search split; the result is scored on the test split.
    """
    given, chosen = load_recipe(recipe), domains_in(tasks, items, scorer)
    varied = tuple(vary or ()), tuple(grid or ()), tuple(objective or ())
    kept = study or _beside(out, ".study.db")
    most = trials or 0
    wanted = StudyOptions(*varied, most, sampler, seed, prune, limit or 0, kept, name, joint)
    wanted = settled_options(from_file(space, wanted) if space else wanted, per_model=per_model)
    studies = bool(space or vary or grid) and not wanted.joint
    stays = kept if studies else state or _beside(out, ".search.json")
    _check_targets(recipe, out, stays, overwrite=overwrite)
    check_frame_file(frame)
    say = teller(quiet=as_json)
    if studies:
        study_settings(given, wanted)  # a mistake is reported before any model is read
    with exam_place(ray, given) as place, told_if_stopped(lambda: _left(stays)):
        found: ClimbResult | StudyState | JointResult
        if wanted.joint:
            found = run_jointly(given, wanted, place, chosen, say, stays, per_model=per_model)
        elif studies:
            found = run_wanted(given, wanted, place.ask, chosen, say, place.beside)
        else:
            found = run_climb(given, chosen, wanted.limit, stays, say, place)
        verdict, beside = _verdict(place, found.recipe, given, chosen, test_limit)
        for one in beside:
            if one.comparison.difference.value < 0:
                say(f"On the test items: {one.told()}")
        replace_file(out, dump_recipe(found.recipe))
        if frame is not None:
            write_frame(found.to_frame(), frame)
    if not studies:
        stays.unlink(missing_ok=True)
    value = {"out": str(out), **({"study": str(stays)} if studies else {}), **found.to_json()}
    text: Callable[..., str] = study_text if studies else joint_text if wanted.joint else climb_text
    told = text(found, verdict, beside, out, _asked(found.recipe, chosen, wanted.limit))
    emit(value | _tested(verdict, beside), told, as_json=as_json)


def settled_options(wanted: StudyOptions, *, per_model: bool) -> StudyOptions:
    """The options with the defaults of their way; raises InvalidValue for two ways at once, and
    for the address of a database."""
    check_study(wanted.study)
    if wanted.joint and (wanted.vary or wanted.grid):
        raise InvalidValue("Give either --joint or --vary and --grid: they are ways of their own.")
    if per_model and not wanted.joint:
        raise InvalidValue("--per-model goes with --joint: the climb finds factors of each model.")
    climbs = not (wanted.joint or wanted.vary or wanted.grid)
    for option, given in (
        ("--trials", wanted.trials),
        ("--objective", wanted.objectives),
        ("--sampler", wanted.sampler != "tpe"),
    ):
        if climbs and given:
            raise InvalidValue(
                f"{option} has no meaning for the paper's climb. It goes with --vary, --grid or "
                "--joint; leave it out otherwise."
            )
    objectives = wanted.objectives or ("accuracy" if wanted.joint else "retention",)
    if wanted.joint and (len(objectives) > 1 or objectives[0] not in ("accuracy", "loss")):
        named = ", ".join(objectives)
        raise InvalidValue(f"A joint search has the objective accuracy or loss, got {named}.")
    limit = wanted.limit or (200 if wanted.joint else 64)
    return replace(wanted, objectives=objectives, limit=limit)


def _left(stays: Path) -> str:
    """What a stopped search leaves."""
    if stays.exists():
        return f"\nStopped. Scores are in {stays}: run the same command to continue."
    return "\nStopped before a first score: nothing is kept."


def _asked(recipe: MergeRecipe, tasks: list[str] | None, limit: int) -> tuple[int, int]:
    from dppa_core.tuning.search.trial import asked_range, domains_for  # noqa: PLC0415  (torch)

    return asked_range(domains_for(recipe, tasks), limit)


def _beside(out: Path, end: str) -> Path:
    return out.with_name(out.name.removesuffix(out.suffix) + end)


def _check_targets(recipe: Path, out: Path, other: Path, *, overwrite: bool) -> None:
    check_target(out, overwrite=overwrite)
    if other.resolve() in (out.resolve(), recipe.resolve()):
        raise InvalidValue(f"{other}: it, --out and RECIPE must be three files.")
    check_file(other)


def run_climb(
    recipe: MergeRecipe,
    tasks: list[str] | None,
    limit: int,
    state: Path | None,
    say: Callable[[str], None],
    place: ExamPlace,
) -> ClimbResult:
    """Run the paper's climb, telling each setting."""
    from dppa_core.tuning.search.climb import climb  # noqa: PLC0415  (torch)

    def watch(model: str, trial: Trial, known: bool) -> None:
        factors = factors_text(trial.amplification)
        say(f"{model} {factors}: {trial.score:.3f}{' (from the state)' if known else ''}")

    how: dict[str, Any] = {"tasks": tasks, "limit": limit, "beside": place.beside}
    return climb(recipe, place.ask, state=state, watch=watch, **how)


def _tested(verdict: Sequence[DomainVerdict], beside: Sequence[BaselineMerge]) -> dict[str, Any]:
    from dppa_core.evaluation.side_by_side_values import interval_json  # noqa: PLC0415  (torch)
    from dppa_core.tuning.search.verdict import mean_retention  # noqa: PLC0415

    return {
        "test": [one.to_json() for one in verdict],
        "retention": interval_json(mean_retention(verdict)) if verdict else None,
        "beside": [one.to_json() for one in beside],
    }


def _verdict(
    place: ExamPlace,
    recipe: MergeRecipe,
    given: MergeRecipe,
    tasks: list[str] | None,
    limit: int | None,
) -> tuple[tuple[DomainVerdict, ...], tuple[BaselineMerge, ...]]:
    from dppa_core.tuning.search.trial import domains_for  # noqa: PLC0415  (torch)
    from dppa_core.tuning.search.verdict import rivals, verdicts  # noqa: PLC0415  (torch)

    if limit == 0:
        return (), ()
    domains = domains_for(recipe, tasks)
    with progress_line() as progress:

        def watch(what: str) -> None:
            if progress:
                progress(0, 0, what)

        found = verdicts(recipe, domains, place.ask, limit=limit, watch=watch)
        return found, rivals(recipe, given, found, place.ask, limit=limit, watch=watch)
