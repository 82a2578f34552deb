"""The command that says what to do with domain models: advise."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dppa_core.cli.options import (
    ItemsOption,
    JsonFlag,
    MemoryOption,
    ScorerOption,
    TasksOption,
    WorkersOption,
    domains_in,
    recipe_or_models,
)
from dppa_core.cli.output import emit, progress_line
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, load_recipe

if TYPE_CHECKING:
    from dppa_core.tuning.advice.advice import Advice


def advise(
    references: Annotated[
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
    recipe, domains = _recipe(references), domains_in(tasks, items, scorer)
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415
    from dppa_core.tuning.advice.advice import advise as judge  # noqa: PLC0415  (imports torch, below)
    from dppa_core.tuning.advice.gather_facts import gather  # noqa: PLC0415

    with progress_line() as progress:
        facts = gather(
            *(recipe, Examiner(fresh=fresh)),
            tasks=domains,
            limit=limit,
            neighbours=neighbours,
            workers=workers,
            progress=progress,
        )
    advice = judge(facts)
    value = {**asdict(advice), "facts": [asdict(fact) for fact in facts]}
    emit(value, advice_text(advice), as_json=as_json)


def advice_text(advice: Advice) -> str:
    """Model by model, then the signs."""
    lines = []
    for model in advice.models:
        lines.append(f"{model.model}: {model.advice} (by the {model.by})")
        lines += [f"  {reason}" for reason in model.why]
    if advice.signs:
        lines.append("failure signs of the recipe:")
    for sign in advice.signs:
        about = f", {sign.model}" if sign.model else ""
        lines += [f"  {sign.name}{about}: {sign.found}", f"    {sign.why}"]
    return "\n".join(lines)


def _recipe(references: list[str]) -> MergeRecipe:
    """The recipe of a file, or base and models with their whole deltas."""
    recipe, names = recipe_or_models(references)
    if recipe is not None:
        return load_recipe(recipe)
    if len(names) > 1:
        return MergeRecipe(names[0], tuple(map(DomainModel, names[1:])), method="task_arithmetic")
    raise typer.BadParameter("name a recipe file, or the base and then at least one domain model")
