"""Scores and statistics of a merge's domain models, on calibration text where it is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

from dppa_core.checkpoints.aligned_checkpoint import as_read
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.vocabulary.alignment import Alignment
from dppa_core.methods.registry import get_method
from dppa_core.profiling.calibration.statistics import Statistics, score_of, statistics
from dppa_core.profiling.significance import Score
from dppa_core.progress import RunControl
from dppa_core.pruning.pruning_parameters import CALIBRATED_KINDS
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe


def check_texts(recipe: MergeRecipe) -> None:
    """Raise NotAllowed if the recipe of a stranger reads a file of this computer."""
    if recipe.calibrated:
        for model in recipe.models:
            recipe.calibration_of(model).check_public()


def text_files(recipe: MergeRecipe) -> tuple[Path, ...]:
    """Every file of calibration text that a merge reads."""
    models = recipe.models if recipe.calibrated else ()
    texts = (recipe.calibration_of(model).text for model in models)
    return tuple(Path(text).expanduser() for text in texts if text)


def scores_of(
    recipe: MergeRecipe, models: Alignment, **control: Unpack[RunControl]
) -> tuple[Score | None, ...]:
    """The score that ranks the elements of each model's delta; None for |d|."""
    kind, scores = recipe.significance, []
    for model, base, tuned in _pairs(recipe, models):
        text = recipe.calibration_of(model) if kind in CALIBRATED_KINDS else None
        scores.append(score_of(kind, base, tuned, text, label=model.model, **control))
    return tuple(scores)


def statistics_of(
    recipe: MergeRecipe, models: Alignment, **control: Unpack[RunControl]
) -> tuple[Statistics, ...]:
    """The statistics of each model that the method combines by; empty if it needs none."""
    combination = get_method(recipe.method).combination
    if combination is None or not combination.statistics:
        return ()
    return tuple(
        statistics(
            *(combination.statistics, base, tuned, recipe.calibration_of(model)),
            label=model.model,
            **control,
        )
        for model, base, tuned in _pairs(recipe, models)
    )


def _pairs(
    recipe: MergeRecipe, models: Alignment
) -> Iterator[tuple[DomainModel, Checkpoint, Checkpoint]]:
    """(domain model, checkpoint with its tokenizer, its checkpoint with rows unmoved).

    The base's tokenizer reads the text of models that share it.
    """
    for index, (model, tuned) in enumerate(zip(recipe.models, models.tuned, strict=True)):
        checkpoint = as_read(tuned)
        yield model, checkpoint if index in models.foreign else as_read(models.base), checkpoint
