"""The command that searches for the best merge: search.

PyTorch and transformers are imported inside the command.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dppa_core.cli.cluster import ExamPlace, RayOption, exam_place
from dppa_core.cli.commands.search_study import StudyOptions, from_file, run_wanted, study_settings
from dppa_core.cli.output import emit, names_in, progress_line, teller, told_if_stopped
from dppa_core.cli.search_text import climb_text, factors_text, study_text
from dppa_core.errors import InvalidValue
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, load_recipe
from dppa_core.system.atomic_folders import check_file, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dppa_core.tuning.search.climb import Trial
    from dppa_core.tuning.search.verdict import BaselineMerge, DomainVerdict


RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file (YAML).")]
OutOption = Annotated[Path, typer.Option(help="The recipe to write, with what was found.")]
TasksOption = Annotated[
    str | None,
    typer.Option(help="The domain of each model, as math,finance,law; their own if unset."),
]
LimitOption = Annotated[int, typer.Option(min=1, help="Search items per domain.")]
TestLimitOption = Annotated[
    int | None,
    typer.Option(min=0, help="Test items per domain at the end; all if unset, 0 for none."),
]
StateOption = Annotated[
    Path | None, typer.Option(help="Where a stopped climb waits; OUT with .search.json.")
]
VaryOption = Annotated[
    list[str] | None,
    typer.Option(help="Search by Optuna: a setting, as rate=0.5:0.95, method=dppa,ties."),
]
GridOption = Annotated[
    list[str] | None, typer.Option(help="Two settings, every pair: rate=0.5:0.9:0.1.")
]
SpaceOption = Annotated[Path | None, typer.Option(help="Or a YAML file with `search:`.")]
ObjectiveOption = Annotated[
    list[str] | None,
    typer.Option(help="retention, worst, retention.DOMAIN, density; several give a front."),
]
TrialsOption = Annotated[int, typer.Option(min=1, help="Of Optuna, earlier ones included.")]
StudyOption = Annotated[
    Path | None, typer.Option(help="SQLite file of the study; OUT with .study.db.")
]
NameOption = Annotated[str, typer.Option(help="Of the study in that file.")]
SamplerOption = Annotated[str, typer.Option(help="tpe, nsga2 or random.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Of the sampler.")]
PruneOption = Annotated[bool, typer.Option(help="Give trials without hope up early.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace a recipe that is there.")
]
RunControl = tuple[dict[str, Any], str]
"""The result for programs, and for people."""
AsJsonOption = Annotated[bool, typer.Option("--json", help="Write one JSON object.")]


def search(
    recipe: RecipeFile,
    out: OutOption,
    tasks: TasksOption = None,
    limit: LimitOption = 64,
    test_limit: TestLimitOption = None,
    state: StateOption = None,
    vary: VaryOption = None,
    grid: GridOption = None,
    space: SpaceOption = None,
    objective: ObjectiveOption = None,
    trials: TrialsOption = 40,
    study: StudyOption = None,
    name: NameOption = "dppa",
    sampler: SamplerOption = "tpe",
    seed: SeedOption = 0,
    prune: PruneOption = True,
    overwrite: OverwriteOption = False,
    ray: RayOption = None,
    as_json: AsJsonOption = False,
) -> None:
    """Find the best merge: by the paper's climb, by Optuna (--vary), or on a grid (--grid).

    Settings are chosen on the search split; the result is scored on the test split.
    """
    given, chosen = load_recipe(recipe), names_in(tasks)
    varied = tuple(vary or ()), tuple(grid or ()), tuple(objective or ("retention",))
    kept = study or _beside(out, ".study.db")
    wanted = StudyOptions(*varied, trials, sampler, seed, prune, limit, kept, name)
    wanted = from_file(space, wanted) if space else wanted
    studies = bool(space or vary or grid)
    waits = Path("") if studies else state or _beside(out, ".search.json")
    stays = wanted.study if studies else waits
    _check_targets(recipe, out, stays, overwrite=overwrite)
    say = teller(quiet=as_json)
    if studies:
        study_settings(given, wanted)  # a mistake is reported before any model is read
    end = f"\nStopped. Scores are in {stays}: run the same command to continue."
    with exam_place(ray) as place, told_if_stopped(end):
        if studies:
            value, text = _study(given, wanted, chosen, out, test_limit, say, place)
        else:
            value, text = _climb(given, chosen, limit, waits, out, test_limit, say, place)
    emit(value, text, as_json=as_json)


def _beside(out: Path, end: str) -> Path:
    return out.with_name(out.name.removesuffix(out.suffix) + end)


def _check_targets(recipe: Path, out: Path, other: Path | None, *, overwrite: bool) -> None:
    """Before any work: refuse to replace files, and check that all can be written."""
    if out.exists() and not overwrite:
        raise InvalidValue(f"{out}: already exists. --overwrite replaces it.")
    check_file(out)
    if other is None or "://" in str(other):
        return
    if other.resolve() in (out.resolve(), recipe.resolve()):
        raise InvalidValue(f"{other}: it, --out and RECIPE must be three files.")
    check_file(other)


def _study(
    recipe: MergeRecipe,
    wanted: StudyOptions,
    tasks: list[str] | None,
    out: Path,
    test_limit: int | None,
    say: Callable[[str], None],
    place: ExamPlace,
) -> RunControl:
    from dppa_core.tuning.search.trial import domains_for  # noqa: PLC0415  (torch)

    found = run_wanted(recipe, wanted, place.ask, tasks, say, place.beside)
    best = found.recipe
    verdict, beside = _verdict(place, best, recipe, domains_for(best, tasks), test_limit)
    replace_file(out, dump_recipe(best))
    value = {"out": str(out), "study": str(wanted.study), **found.to_json()}
    return value | _tested(verdict, beside), study_text(found, verdict, beside, out)


def _climb(
    recipe: MergeRecipe,
    tasks: list[str] | None,
    limit: int,
    state: Path,
    out: Path,
    test_limit: int | None,
    say: Callable[[str], None],
    place: ExamPlace,
) -> RunControl:
    from dppa_core.tuning.search.climb import climb  # noqa: PLC0415  (torch)

    def watch(model: str, trial: Trial, known: bool) -> None:
        factors = factors_text(trial.amplification)
        say(f"{model} {factors}: {trial.score:.3f}{' (from the state)' if known else ''}")

    found = climb(
        recipe,
        place.ask,
        tasks=tasks,
        limit=limit,
        state=state,
        watch=watch,
        beside=place.beside,
    )
    verdict, rivals = _verdict(place, found.recipe, recipe, found.domains, test_limit)
    replace_file(out, dump_recipe(found.recipe))
    state.unlink(missing_ok=True)
    value = {"out": str(out), **found.to_json(), **_tested(verdict, rivals)}
    return value, climb_text(found, verdict, rivals, out)


def _tested(verdict: Sequence[DomainVerdict], beside: Sequence[BaselineMerge]) -> dict[str, Any]:
    from dppa_core.evaluation.report import interval_json  # noqa: PLC0415  (torch)
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
    domains: tuple[str, ...],
    limit: int | None,
) -> tuple[tuple[DomainVerdict, ...], tuple[BaselineMerge, ...]]:
    """What was found on the test split, and what stands beside it."""
    from dppa_core.tuning.search.verdict import rivals, verdicts  # noqa: PLC0415  (torch)

    if limit == 0:
        return (), ()
    with progress_line() as progress:

        def watch(what: str) -> None:
            if progress:
                progress(0, 0, what)

        found = verdicts(recipe, domains, place.ask, limit=limit, watch=watch)
        return found, rivals(recipe, given, found, place.ask, limit=limit, watch=watch)
