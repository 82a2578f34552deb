"""The command that says what to do with domain models: advise."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dppa_core.cli.output import (
    ItemsOption,
    JsonFlag,
    MemoryOption,
    ScorerOption,
    TasksOption,
    WorkersOption,
    domains_in,
    emit,
    progress_line,
    recipe_or_models,
)
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, load_recipe

if TYPE_CHECKING:
    from dppa_core.tuning.advice.advice import Advice


def advise(
    what: Annotated[
        list[str],
        typer.Argument(metavar="RECIPE|BASE MODEL…", help="A recipe file, or base and models."),
    ],
    tasks: TasksOption = None,
    items: ItemsOption = None,
    scorer: ScorerOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Search items per domain.")] = 64,
    neighbours: Annotated[
        bool, typer.Option(help="Ask the factors one step away from a recipe's.")
    ] = True,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ignore cached answers.")] = False,
    workers: WorkersOption = None,
    memory: MemoryOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Tell whether deltas are small or large, which method to try, and a recipe's failure signs.

    Models with a known domain answer search items with DARE at 90 %; others are only profiled.
    """
    given, listed = _recipe(what), domains_in(tasks, items, scorer)
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415
    from dppa_core.tuning.advice.advice import advise as judge  # noqa: PLC0415  (imports torch, below)
    from dppa_core.tuning.advice.run import gather  # noqa: PLC0415

    with progress_line() as progress:
        facts = gather(
            *(given, Examiner(fresh=fresh)),
            tasks=listed,
            limit=limit,
            neighbours=neighbours,
            workers=workers,
            progress=progress,
        )
    found = judge(facts)
    value = {**asdict(found), "facts": [asdict(one) for one in facts]}
    emit(value, advice_text(found), as_json=as_json)


def advice_text(found: Advice) -> str:
    """Model by model, then the signs."""
    lines = []
    for one in found.models:
        lines.append(f"{one.model}: {one.advice} (by the {one.by})")
        lines += [f"  {why}" for why in one.why]
    if found.signs:
        lines.append("failure signs of the recipe:")
    for sign in found.signs:
        about = f", {sign.model}" if sign.model else ""
        lines += [f"  {sign.name}{about}: {sign.found}", f"    {sign.why}"]
    return "\n".join(lines)


def _recipe(what: list[str]) -> MergeRecipe:
    """The recipe of a file, or base and models with their whole deltas."""
    recipe, named = recipe_or_models(what)
    if recipe is not None:
        return load_recipe(recipe)
    if len(named) > 1:
        return MergeRecipe(named[0], tuple(map(DomainModel, named[1:])), method="task_arithmetic")
    raise typer.BadParameter("name a recipe file, or the base and then at least one domain model")
