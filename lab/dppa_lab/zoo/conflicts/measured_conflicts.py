"""Merges of two models of a set that learned different manners; what was asked before is cached.

A model answers every question in its own manner, so the two disagree on each other's questions, and
a merge has to tell them apart. Every method has a coefficient for each model and the same budget,
so that the ratio of the models, the election of signs and the pruning can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dppa_core.errors import MissingCheckpoint, NonFiniteWeights
from dppa_core.pruning.partition import even_levels
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tuning.search.axes import Point, SearchAxis
from dppa_core.tuning.search.scoring import balanced_loss
from dppa_lab.zoo.joint_search import Budget, joint_search
from dppa_lab.zoo.manners import MANNERS, asked_of
from dppa_lab.zoo.results.merge_examiner import MergeExaminer
from dppa_lab.zoo.results.retained import bits
from dppa_lab.zoo.trained_set import trained_set

SETTINGS = 16
"""Settings that every method asks by loss."""
RATE = 0.9
_COEFFICIENTS = (1 / 16, 8.0)
_NO_PARAMETERS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PairMethod:
    """A way to merge two models, and the numbers that its search chooses."""

    title: str
    method: str
    parameters: Mapping[str, Any] = field(default_factory=lambda: _NO_PARAMETERS)
    partitions: int = 0
    """Bands of the pruned delta; 0 for methods that take no levels."""
    by_model: bool = True
    """False for one coefficient of both models."""

    def axes(self) -> tuple[SearchAxis, ...]:
        """A coefficient, or one for each model; of two bands the second's factor and a strength."""
        names = ("first", "second") if self.by_model else ("both",)
        axes = [SearchAxis(name, 1.0, *_COEFFICIENTS) for name in names]
        if self.partitions > 1:
            axes += [
                SearchAxis("factor2", 1.0, *_COEFFICIENTS),
                SearchAxis("strength", 0.08, 0.01, 0.5, step=1.0, absent=0.0),
            ]
        return tuple(axes)

    def recipe(self, base: str, models: tuple[str, str], point: Point) -> MergeRecipe:
        """The merge at a point of the axes, in float32."""
        values = {axis.name: value for axis, value in zip(self.axes(), point, strict=True)}
        first = values.get("first", values.get("both", 1.0))
        levels = even_levels(RATE, self.partitions) if self.partitions else (0.0,)
        factors = (1.0, values.get("factor2", 1.0))[: len(levels)]
        merged = tuple(
            DomainModel(model, levels, factors, coefficient=coefficient)
            for model, coefficient in zip(models, (first, values.get("second", first)), strict=True)
        )
        strength = {"strength": values["strength"]} if "strength" in values else {}
        return MergeRecipe(
            base,
            merged,
            method=self.method,
            parameters={**self.parameters, **strength},
            dtype="float32",
        )


PAIR_METHODS = (
    PairMethod("whole deltas, one coefficient", "task_arithmetic", by_model=False),
    PairMethod("whole deltas", "task_arithmetic"),
    PairMethod("signs elected, nothing pruned (TIES)", "ties", {"density": 1.0}),
    PairMethod("signs elected, 80 % pruned (TIES)", "ties", {"density": 0.2}),
    PairMethod("90 % pruned by size", "magnitude", partitions=1),
    PairMethod("90 % dropped (DARE)", "dare", partitions=1),
    PairMethod("90 % pruned by DPPA", "dppa", partitions=2),
)


def measure_conflicts(
    folder: Path,
    *,
    limit: int | None,
    search_items: int,
    say: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """A JSON-ready record for each pair of manners of a set.

    Args:
        folder: A set of manners that `dppa zoo train` made.
        limit: Test items of a manner; all if None.
        search_items: Items of each manner on which settings are chosen.

    Raises:
        MissingCheckpoint: fewer than two manners are there.
    """
    models = trained_set(folder)
    names = [name for name in models.references if name in MANNERS]
    if len(names) < 2:
        raise MissingCheckpoint(
            f"{folder}: a conflict takes two of the manners {', '.join(MANNERS)}. "
            "`dppa zoo train --regime brief-10 --domains french,json` makes them."
        )
    examiner = MergeExaminer(limit, search_items)
    records = []
    for pair in combinations(names, 2):
        references = (models.references[pair[0]], models.references[pair[1]])
        alone = {
            name: _hits(examiner, reference, pair)
            for name, reference in zip(pair, references, strict=True)
        }
        methods = []
        for method in PAIR_METHODS:
            methods.append(_measured(method, examiner, models.references["base"], references, pair))
            say(f"{folder.name}: {' and '.join(pair)}, {method.title}")
        records.append(
            {
                "set": dict(models.record),
                "search_items": search_items,
                "pair": list(pair),
                "alone": alone,
                "methods": methods,
            }
        )
    return records


def _measured(
    method: PairMethod,
    examiner: MergeExaminer,
    base: str,
    models: tuple[str, str],
    pair: tuple[str, str],
) -> dict[str, Any]:
    """The setting of least loss of both manners, and its hits on the test items."""

    def loss(point: Point) -> float:
        recipe = method.recipe(base, models, point)
        try:
            return balanced_loss([examiner.loss(recipe, asked_of(name)) for name in pair])
        except NonFiniteWeights:
            return math.inf

    axes = method.axes()
    search = joint_search(
        axes,
        lambda points: list(map(loss, points)),
        lambda points: [0.0] * len(points),
        Budget(SETTINGS, 1),
    )
    chosen = search.by_loss
    return {
        "title": method.title,
        "values": {axis.name: value for axis, value in zip(axes, chosen.values, strict=True)},
        "loss": chosen.loss,
        "settings": len(search.candidates),
        "hits": _hits(examiner, method.recipe(base, models, chosen.values), pair),
    }


def _hits(
    examiner: MergeExaminer, target: str | MergeRecipe, pair: tuple[str, str]
) -> dict[str, str]:
    """Manner -> a character for each of its test items."""
    return {name: bits(examiner.hits(target, asked_of(name), "test")) for name in pair}
