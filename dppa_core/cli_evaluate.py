"""The command that measures: evaluate.

Knows how people ask and what they see. PyTorch and transformers are imported inside the command.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dppa_core.cli_output import emit, progress_line
from dppa_core.errors import InvalidValue, shown
from dppa_core.recipe import MergeRecipe, load_recipe
from dppa_core.tasks import DOMAINS, items

if TYPE_CHECKING:
    from dppa_core.examiner import Examiner

_RECIPES = (".yaml", ".yml")


def evaluate(
    target: Annotated[
        str, typer.Argument(metavar="RECIPE_OR_MODEL", help="A recipe file, or one model.")
    ],
    against: Annotated[
        Path | None, typer.Option(help="Another recipe, compared with the first item by item.")
    ] = None,
    tasks: Annotated[str, typer.Option(help="Domains, as math,finance,law.")] = ",".join(DOMAINS),
    split: Annotated[str, typer.Option(help="train, search or test.")] = "test",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Items per domain; all if unset.")
    ] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="Without the models a recipe stands beside.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask again what was asked before.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Score a merge beside its base, its models and plain merges, with 95 % intervals.

    Marks are kept in the cache: what was asked before is not asked again.
    """
    domains = _domains(tasks, split)
    recipe = _recipe(target)
    if against is not None and (recipe is None or alone):
        raise typer.BadParameter("--against compares two recipes, side by side")
    other = None if against is None else load_recipe(against)
    from dppa_core.examiner import Examiner  # noqa: PLC0415  (imports torch)

    examiner = Examiner(split, limit, fresh=fresh)
    if recipe is None or alone:
        _alone(examiner, target if recipe is None else recipe, domains, as_json=as_json)
    else:
        _beside(examiner, recipe, other, domains, as_json=as_json)


def _domains(tasks: str, split: str) -> list[str]:
    domains = list(dict.fromkeys(name.strip() for name in tasks.split(",") if name.strip()))
    if not domains:
        raise InvalidValue(f"--tasks names no domain. Known: {', '.join(DOMAINS)}.")
    for domain in domains:  # before a model is loaded
        items(domain, split, 1)
    return domains


def _recipe(target: str) -> MergeRecipe | None:
    """The recipe of a file; None for the reference of a model."""
    path = Path(target)
    if path.suffix in _RECIPES or path.is_file():
        return load_recipe(path)
    if not target.strip():
        raise InvalidValue(f"Name a recipe file or a model, got {shown(target)}.")
    return None


def _alone(
    examiner: Examiner, target: str | MergeRecipe, domains: list[str], *, as_json: bool
) -> None:
    from dppa_core.cli_evaluate_text import alone_text  # noqa: PLC0415  (imports torch)
    from dppa_core.evaluate_run import one_alone  # noqa: PLC0415

    with progress_line() as progress:
        found = one_alone(examiner, target, domains, progress=progress)
    emit(found.to_json(), alone_text(found), as_json=as_json)


def _beside(
    examiner: Examiner,
    recipe: MergeRecipe,
    other: MergeRecipe | None,
    domains: list[str],
    *,
    as_json: bool,
) -> None:
    from dppa_core.cli_evaluate_text import beside_text  # noqa: PLC0415  (imports torch)
    from dppa_core.evaluate_report import as_json as to_json  # noqa: PLC0415
    from dppa_core.evaluate_rows import entrants  # noqa: PLC0415
    from dppa_core.evaluate_run import measure  # noqa: PLC0415

    with progress_line() as progress:
        found = measure(examiner, entrants(recipe, other), domains, progress=progress)
    value: dict[str, Any] = to_json(found)
    emit(value, beside_text(value), as_json=as_json)
