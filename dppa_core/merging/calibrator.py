"""Statistics of a merge's domain models on calibration text: scores, and facts for combinations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

from dppa_core.checkpoints.aligned_checkpoint import as_read, moves_rows
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.vocabulary.alignment import Alignment
from dppa_core.merging.passes.combined_pass import CalibrationFacts
from dppa_core.methods.registry import get_method
from dppa_core.profiling.calibration.statistics import Kind, Statistics, score_of, statistics
from dppa_core.profiling.significance import Score
from dppa_core.progress import RunControl
from dppa_core.pruning.pruning_parameters import CALIBRATED_KINDS
from dppa_core.recipes.yaml_text import MergeRecipe


class Calibrator:
    """Statistics of the domain models of a recipe, each computed on its first use.

    Args:
        models: Base and domain models. The base's tokenizer reads the text if they share it;
            otherwise each uses its own.
        places: For each model, name in the base -> its own name.
        public: Whether strangers wrote the recipe.
        progress, stop: See `statistics`.

    Raises:
        NotAllowed: a stranger's recipe names a file of this computer.
    """

    def __init__(
        self,
        recipe: MergeRecipe,
        models: Alignment,
        places: Sequence[Mapping[str, str]],
        *,
        public: bool = False,
        **control: Unpack[RunControl],
    ) -> None:
        self._recipe, self._models, self._places = recipe, models, places
        self._tuned = models.tuned
        combination = get_method(recipe.method).combination
        self._kind: Kind | None = (combination.statistics or None) if combination else None
        self._statistics: dict[tuple[Kind, int], Statistics] = {}
        self._control = control
        if public and recipe.calibrated:
            for model in recipe.models:
                recipe.calibration_of(model).check_public()

    def score(self, index: int) -> Score | None:
        """The score that ranks the elements of a model's delta; None for |d|."""
        model, kind = self._recipe.models[index], self._recipe.significance
        text = self._recipe.calibration_of(model) if kind in CALIBRATED_KINDS else None
        return score_of(kind, *self._pair(index), text, label=model.model, **self._control)

    def facts(self, tensor: str, index: int) -> CalibrationFacts:
        """Facts about a tensor, by its name in the base, of one model."""
        if self._kind is None:
            raise TypeError(f"{self._recipe.method} uses no statistics")
        measured, name = self._measure(self._kind, index), self._places[index][tensor]
        if moves_rows(self._tuned[index], name):  # measured in rows of another order
            return CalibrationFacts(None, 1, measured.norm)
        axis = measured.axes.get(name, 1)
        return CalibrationFacts(measured.arrays.get(name), axis, measured.norm)

    def prepare(self) -> None:
        """Compute all statistics of the method now, with progress."""
        if self._kind is not None:
            for index in range(len(self._tuned)):
                self._measure(self._kind, index)

    def _pair(self, index: int) -> tuple[Checkpoint, Checkpoint]:
        """Checkpoint with a domain model's tokenizer, and the model with its rows unmoved."""
        tuned = as_read(self._tuned[index])
        return (tuned if index in self._models.foreign else as_read(self._models.base)), tuned

    def _measure(self, kind: Kind, index: int) -> Statistics:
        if (kind, index) not in self._statistics:
            model = self._recipe.models[index]
            text, pair = self._recipe.calibration_of(model), self._pair(index)
            measured = statistics(kind, *pair, text, label=model.model, **self._control)
            self._statistics[kind, index] = measured
        return self._statistics[kind, index]
