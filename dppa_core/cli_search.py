"""The command that searches for the best merge: search.

Knows how people ask and what they see. PyTorch and transformers are imported inside the command.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dppa_core.atomic import check_file, replace_file
from dppa_core.cli_output import emit, progress_line
from dppa_core.cli_search_text import climb_text, factors_text
from dppa_core.errors import InvalidValue
from dppa_core.recipe import MergeRecipe, dump_recipe, load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from dppa_core.pool import ModelPool
    from dppa_core.search import Trial
    from dppa_core.search_verdict import DomainVerdict


def search(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file (YAML).")],
    out: Annotated[Path, typer.Option(help="The recipe to write, with what was found.")],
    tasks: Annotated[
        str | None,
        typer.Option(help="The domain of each model, as math,finance,law; their own if unset."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Search items per domain.")] = 64,
    test_limit: Annotated[
        int | None,
        typer.Option(min=0, help="Test items per domain at the end; all if unset, 0 for none."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Where a stopped search waits; OUT with .search.json.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a recipe that is there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Find the best merge: the paper's climb for amplification factors.

    Settings are chosen on the search split; what was found is scored on the test split.
    """
    given = load_recipe(recipe)
    domains = _listed(tasks)
    if out.exists() and not overwrite:
        raise InvalidValue(f"{out}: is there already, and is kept. --overwrite replaces it.")
    state = state or out.with_name(out.name.removesuffix(out.suffix) + ".search.json")
    if state.resolve() in (out.resolve(), recipe.resolve()):
        raise InvalidValue(f"{state}: --state, --out and RECIPE must be three files.")
    check_file(out)
    check_file(state)
    say = _teller(quiet=as_json)
    found = _climbed(given, domains, limit, state, test_limit, say)
    replace_file(out, dump_recipe(found["recipe"]))
    state.unlink(missing_ok=True)
    climbed, verdict = found["climbed"], found["verdict"]
    value = {"out": str(out), **climbed.to_json(), "test": [one.to_json() for one in verdict]}
    emit(value, climb_text(climbed, verdict, out), as_json=as_json)


def _climbed(
    recipe: MergeRecipe,
    tasks: list[str] | None,
    limit: int,
    state: Path,
    test_limit: int | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    from dppa_core.pool import ModelPool  # noqa: PLC0415  (torch)
    from dppa_core.search_climb import climb  # noqa: PLC0415
    from dppa_core.search_trial import asker  # noqa: PLC0415

    def watch(model: str, trial: Trial, known: bool) -> None:
        factors = factors_text(trial.amplification)
        say(f"{model} {factors}: {trial.score:.3f}{' (from the state)' if known else ''}")

    pool = ModelPool()
    climbed = climb(recipe, asker(pool), tasks=tasks, limit=limit, state=state, watch=watch)
    verdict = _verdict(pool, climbed.recipe, climbed.domains, test_limit)
    return {"recipe": climbed.recipe, "climbed": climbed, "verdict": verdict}


def _verdict(
    pool: ModelPool, recipe: MergeRecipe, domains: tuple[str, ...], limit: int | None
) -> tuple[DomainVerdict, ...]:
    from dppa_core.search_trial import asker  # noqa: PLC0415  (torch)
    from dppa_core.search_verdict import verdicts  # noqa: PLC0415

    if limit == 0:
        return ()
    with progress_line() as progress:

        def watch(what: str) -> None:
            if progress:
                progress(0, 0, what)

        return verdicts(recipe, domains, asker(pool), limit=limit, watch=watch)


def _listed(tasks: str | None) -> list[str] | None:
    names = None if tasks is None else [name.strip() for name in tasks.split(",") if name.strip()]
    if names is not None and not names:
        raise InvalidValue("--tasks names no domain. Without --tasks the models' own are taken.")
    return names


def _teller(*, quiet: bool) -> Callable[[str], None]:
    def say(line: str) -> None:
        if not quiet:
            clear = "\r\x1b[K" if sys.stderr.isatty() else ""
            sys.stderr.write(f"{clear}{line}\n")
            sys.stderr.flush()

    return say
