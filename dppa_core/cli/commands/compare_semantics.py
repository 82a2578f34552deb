"""The command that counts where two meanings of one method differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from dppa_core.cli.output import JsonFlag, RecipeFile, emit, progress_line
from dppa_core.evaluation.analysis.comparison import Difference, compare_merges, with_semantics
from dppa_core.evaluation.tables import text_table
from dppa_core.recipes.yaml_text import load_recipe

_SHOWN = 12


def compare_semantics(
    recipe: RecipeFile,
    other: Annotated[
        str,
        typer.Option("--with", help="The other meaning: mergekit, reference, authors or paper."),
    ] = "mergekit",
    as_json: JsonFlag = False,
) -> None:
    """Count the weights that change when another program implements the method."""
    first = load_recipe(recipe)
    second = with_semantics(first, other)
    with progress_line() as progress:
        found = compare_merges(first, second, progress=progress)
    names = (str(first.settings().semantics), other)
    emit(_values(found, names), _text(found, first.method, names), as_json=as_json)


def _values(found: Sequence[Difference], names: tuple[str, str]) -> dict[str, Any]:
    return {
        "semantics": list(names),
        "numel": sum(item.numel for item in found),
        "differing": sum(item.differing for item in found),
        "largest": max((item.largest for item in found), default=0.0),
        "tensors": [asdict(item) for item in found],
    }


def _text(found: Sequence[Difference], method: str, names: tuple[str, str]) -> str:
    values = _values(found, names)
    total, differing = values["numel"], values["differing"]
    line = (
        f"{method}, {names[0]} against {names[1]}: {differing:,} of {total:,} weights differ "
        f"({differing / max(total, 1):.2%}), the most by {values['largest']:.3g}"
    )
    most = sorted(found, key=lambda item: -item.differing / max(item.numel, 1))[:_SHOWN]
    rows = [
        [item.name, f"{item.differing / max(item.numel, 1):.2%}", f"{item.largest:.3g}"]
        for item in most
        if item.differing
    ]
    return f"{line}\n{text_table(['tensor', 'differing', 'most by'], rows)}" if rows else line
