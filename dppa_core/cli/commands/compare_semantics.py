"""The command that counts where two meanings of one method differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from dppa_core.charts.tables import text_table
from dppa_core.cli.options import JsonFlag, RecipeFile
from dppa_core.cli.output import emit, progress_line
from dppa_core.evaluation.analysis.comparison import (
    Difference,
    compare_merges,
    relative_size,
    with_semantics,
)
from dppa_core.recipes.recipe import ARITHMETICS
from dppa_core.recipes.yaml_text import MergeRecipe, load_recipe

_MAX_ROWS = 12


def compare_semantics(
    recipe: RecipeFile,
    semantics: Annotated[
        str,
        typer.Option(
            "--with",
            help="The other meaning: mergekit, reference, authors or paper; or an arithmetic: "
            "bfloat16, float16 or float32.",
        ),
    ] = "mergekit",
    as_json: JsonFlag = False,
) -> None:
    """Count the weights that change when another program implements the method.

    Or when it rounds every operation to 16 bits, as mergekit does if its recipe says so.
    """
    first = load_recipe(recipe)
    second = with_semantics(first, semantics)
    with progress_line() as progress:
        differences = compare_merges(first, second, progress=progress)
    values = {
        "semantics": [_meaning(first, semantics), semantics],
        "numel": sum(item.numel for item in differences),
        "differing": sum(item.differing for item in differences),
        "largest": max((item.largest for item in differences), default=0.0),
        "relative": relative_size(differences),
        "tensors": [asdict(item) for item in differences],
    }
    emit(values, _text(values, first.method, differences), as_json=as_json)


def _meaning(recipe: MergeRecipe, other: str) -> str:
    return recipe.arithmetic if other in ARITHMETICS else str(recipe.settings().semantics)


def _text(values: dict[str, Any], method: str, differences: Sequence[Difference]) -> str:
    total, differing = values["numel"], values["differing"]
    line = (
        f"{method}, {' against '.join(values['semantics'])}: {differing:,} of {total:,} weights "
        f"differ ({differing / max(total, 1):.2%}), the most by {values['largest']:.3g}; "
        f"together {values['relative']:.2%} of the size of the change from the base"
    )
    ranked = sorted(differences, key=lambda item: -item.differing / max(item.numel, 1))
    rows = [
        [item.name, f"{item.differing / max(item.numel, 1):.2%}", f"{item.largest:.3g}"]
        for item in ranked[:_MAX_ROWS]
        if item.differing
    ]
    return f"{line}\n{text_table(['tensor', 'differing', 'most by'], rows)}" if rows else line
