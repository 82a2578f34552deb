"""The command that finds a greedy soup: soup."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dppa_core.charts.tables import text_table
from dppa_core.cli.options import (
    ItemsOption,
    JsonFlag,
    MemoryOption,
    OverwriteFlag,
    RecipeFile,
    ScorerOption,
    check_target,
    domains_in,
)
from dppa_core.cli.output import emit, progress_line, teller
from dppa_core.recipes.yaml_text import dump_recipe, load_recipe
from dppa_core.system.atomic_folders import replace_file

if TYPE_CHECKING:
    from dppa_core.evaluation.scores import Evaluation
    from dppa_core.tuning.soup import FoundSoup, Indices


def soup(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option(help="The recipe to write, of the models that stay.")],
    tasks: Annotated[
        str | None,
        typer.Option(help="Domains to score on, as math,finance,law; the models' own if unset."),
    ] = None,
    items: ItemsOption = None,
    scorer: ScorerOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Search items per domain; all if unset.")
    ] = None,
    overwrite: OverwriteFlag = False,
    memory: MemoryOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Find a greedy soup: the mean of those models that do not lower each other's score.

    Of the recipe only the models count; a soup has no pruning rates and equal coefficients.
    """
    original = load_recipe(recipe)
    domains = domains_in(tasks, items, scorer)
    check_target(out, overwrite=overwrite)
    from dppa_core.tuning.soup import find_soup  # noqa: PLC0415  (imports torch)

    say = teller(quiet=as_json)

    def watch(mixed: Indices, scores: Evaluation) -> None:
        names = " + ".join(original.models[index].model for index in mixed)
        say(f"{names}: {' %, '.join(_cells(scores))}")

    with progress_line() as progress:
        result = find_soup(original, domains, limit=limit, progress=progress, watch=watch)
    replace_file(out, dump_recipe(result.recipe))
    emit({"out": str(out), **result.to_json()}, _text(result, out), as_json=as_json)


def _cells(scores: Evaluation) -> tuple[str, str]:
    """Mean accuracy and its interval, in per cent."""
    low, high = scores.ci95
    return f"{100 * scores.mean:.1f}", f"{100 * low:.1f}-{100 * high:.1f}"


def _text(result: FoundSoup, out: Path) -> str:
    best = result.soup.best
    scores = result.scores[best.mixed]
    rows = [
        [
            result.given.models[step.added].model,
            *_cells(result.scores[step.added,]),
            *_cells(result.scores[step.mixed]),
            "yes" if step.kept else "no",
        ]
        for step in result.soup.steps
    ]
    head = ["model, best first", "alone %", "95 % interval", "soup with it %", "95 % interval"]
    domains = ", ".join(f"{name} {100 * s.accuracy:.1f} %" for name, s in scores.domains.items())
    items = sum(score.n for score in scores.domains.values())
    return "\n".join(
        [
            f"{out}: the mean of {len(best.mixed)} of {len(rows)} models; {domains}",
            text_table([*head, "kept"], rows),
            f"mean accuracy of the domains on {items} search items, which chose the models; "
            f"unseen ones: dppa evaluate {out}",
        ]
    )
