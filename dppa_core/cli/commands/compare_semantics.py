"""The command that counts where two meanings of one method differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from dppa_core.charts.tables import text_table
from dppa_core.cli.options import JsonFlag, RecipeFile
from dppa_core.cli.output import emit, progress_line
from dppa_core.evaluation.analysis.comparison import Difference, compare_merges, with_semantics
from dppa_core.recipes.yaml_text import load_recipe

_MAX_ROWS = 12


def compare_semantics(
    recipe: RecipeFile,
    semantics: Annotated[
        str,
        typer.Option("--with", help="The other meaning: mergekit, reference, authors or paper."),
    ] = "mergekit",
    as_json: JsonFlag = False,
) -> None:
    """Count the weights that change when another program implements the method."""
    first = load_recipe(recipe)
    second = with_semantics(first, semantics)
    with progress_line() as progress:
        differences = compare_merges(first, second, progress=progress)
    values = {
        "semantics": [str(first.settings().semantics), semantics],
        "numel": sum(item.numel for item in differences),
        "differing": sum(item.differing for item in differences),
        "largest": max((item.largest for item in differences), default=0.0),
        "tensors": [asdict(item) for item in differences],
    }
    emit(values, _text(values, first.method, differences), as_json=as_json)


def _text(values: dict[str, Any], method: str, differences: Sequence[Difference]) -> str:
    total, differing = values["numel"], values["differing"]
    line = (
        f"{method}, {' against '.join(values['semantics'])}: {differing:,} of {total:,} weights "
        f"differ ({differing / max(total, 1):.2%}), the most by {values['largest']:.3g}"
    )
    ranked = sorted(differences, key=lambda item: -item.differing / max(item.numel, 1))
    rows = [
        [item.name, f"{item.differing / max(item.numel, 1):.2%}", f"{item.largest:.3g}"]
        for item in ranked[:_MAX_ROWS]
        if item.differing
    ]
    return f"{line}\n{text_table(['tensor', 'differing', 'most by'], rows)}" if rows else line
