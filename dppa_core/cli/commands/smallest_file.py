"""The smallest file of `dppa size` that is good enough: which it is, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dppa_core.checkpoints.sources.references import KeptDelta, kept_reference
from dppa_core.cli.output import progress_line
from dppa_core.errors import many
from dppa_core.evaluation.form_sizes import (
    BASE,
    ENOUGH_ENERGY,
    MOST_LOST,
    FormSize,
    smallest_enough,
    too_few_questions,
)
from dppa_core.merging.folder import check_target
from dppa_core.merging.to_pack import pack_models, refuse_other_files
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

if TYPE_CHECKING:
    from dppa_core.evaluation.form_scores import FormScore


def place_of_enough(rows: Sequence[FormSize], scores: Mapping[str, FormScore]) -> int:
    """Place of the smallest file that is good enough."""
    if not scores:
        return smallest_enough([(row.nbytes, row.energy) for row in rows], ENOUGH_ENERGY)
    whole, base = scores[""], scores[BASE]
    if whole.scores:
        points = [(row.nbytes, scores[row.store].accuracy) for row in rows]
        return smallest_enough(points, whole.accuracy - MOST_LOST)
    points = [(row.nbytes, -scores[row.store].loss) for row in rows]
    return smallest_enough(points, -whole.loss - MOST_LOST * max(base.loss - whole.loss, 0.0))


def sentence_of_enough(row: Mapping[str, Any]) -> str:
    """Which file of a model is the smallest that is enough."""
    enough = row["forms"][row["enough"]]
    store = enough["store"]
    spelled = f" ({store})" if store not in ("", BASE) else ""
    return f"{_subject(row)}: {enough['title']}, {_megabytes(enough)}{spelled}"


def _subject(row: Mapping[str, Any]) -> str:
    form = row["forms"][0]
    if "accuracy" in form:
        points, count = f"{100 * MOST_LOST:g} points", many(row["questions"], "question")
        return f"smallest file that loses at most {points} of accuracy on {count}"
    if "loss" in form:
        return f"smallest file that loses at most {MOST_LOST:.0%} of what training won on the text"
    return f"smallest file that keeps {ENOUGH_ENERGY:.0%} of the energy"


def _megabytes(form: Mapping[str, Any]) -> str:
    return f"{form['nbytes'] / 1e6:.3f} MB"


def doubts(row: Mapping[str, Any]) -> list[str]:
    """What speaks against the choice of a model's file, in sentences."""
    base_is_enough = row["forms"][row["enough"]]["store"] == BASE
    few = too_few_questions(row["questions"]) if row["questions"] else ""
    why = "the base alone is enough: what was asked does not show what training changed."
    return [line for line in (few, why if base_is_enough else "") if line]


def why_not_written(row: Mapping[str, Any], out: Path) -> list[str]:
    """Why no file of a model is written, and what can be done; empty if one is."""
    enough = row["forms"][row["enough"]]
    if enough["store"] not in ("", BASE):
        return []
    if enough["store"] == BASE:
        name, remedy = "the base alone", "Ask by --tasks, --items or --text for more."
    else:
        name, remedy = "the whole model", "--forms names larger forms, as 'bits(bits=8)'."
    start = f"{out}: nothing written of {row['model']}: the {_subject(row)} is {name}"
    return [f"{start}, {_megabytes(enough)}. {remedy}"]


def check_pack_folder(out: Path, *, overwrite: bool) -> None:
    """Raise InvalidValue or NotAllowed if packs cannot be written into a folder."""
    check_target(out, (), overwrite=overwrite, check_entries=refuse_other_files)


def write_enough(
    values: Sequence[Mapping[str, Any]], out: Path, workers: int | None, *, overwrite: bool = False
) -> list[str]:
    """Pack each model in its smallest good form; references of the files."""
    base = values[0]["base"]
    stores = {row["model"]: row["forms"][row["enough"]]["store"] for row in values}
    models = tuple(
        DomainModel(kept_reference(KeptDelta(store, model, base)))
        for model, store in stores.items()
        if store not in ("", BASE)
    )
    if not models:
        return []
    recipe = MergeRecipe(base, models, method="task_arithmetic")
    with progress_line() as progress:
        reports = pack_models(recipe, out, overwrite=overwrite, workers=workers, progress=progress)
    return [f"{report.base}+{out / report.file}" for report in reports]
