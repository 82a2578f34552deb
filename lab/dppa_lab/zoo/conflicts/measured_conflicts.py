"""Merges of two models of a set that learned different manners; what was asked before is cached.

A model answers every question in its own manner, so the two disagree on each other's questions, and
a merge has to tell them apart. Every method has a coefficient for each model and the same budget,
so that the ratio of the models, the election of signs and the pruning can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dppa_core.errors import MissingCheckpoint, NonFiniteWeights
from dppa_core.pruning.partition import even_levels
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tuning.search.axes import Point, SearchAxis
from dppa_core.tuning.search.scoring import balanced_loss
from dppa_lab.zoo.joint_search import Budget, JointSearch, joint_search
from dppa_lab.zoo.manners import MANNERS, asked_of
from dppa_lab.zoo.results.merge_examiner import MergeExaminer
from dppa_lab.zoo.results.retained import bits
from dppa_lab.zoo.trained_set import trained_set

SETTINGS, SIMPLE_SETTINGS = 16, 6
"""Settings that every method asks by loss, and how many of them have one coefficient for both."""
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
    contains: str = ""
    """Title of the simpler method from whose best setting the search starts; if none, it starts
    from the best of one coefficient for both."""

    def axes(self, simpler: Mapping[str, float] = _NO_PARAMETERS) -> tuple[SearchAxis, ...]:
        """A coefficient, or one for each model; of two bands the second's factor and a strength.

        Args:
            simpler: The numbers of the contained method's best setting, from which these start.
        """
        names = ("first", "second") if self.by_model else ("both",)
        starts = [simpler.get(name, simpler.get("both", 1.0)) for name in names]
        axes = [
            SearchAxis(name, start, *_COEFFICIENTS)
            for name, start in zip(names, starts, strict=True)
        ]
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
    PairMethod("90 % pruned by DPPA", "dppa", partitions=2, contains="90 % pruned by size"),
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
        methods: list[dict[str, Any]] = []
        for method in PAIR_METHODS:
            values = {m["title"]: m["values"] for m in methods}
            ask = _Asked(examiner, models.references["base"], references, pair)
            methods.append(_measured(method, ask, values.get(method.contains, {})))
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


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who answers for which merge of a pair."""

    examiner: MergeExaminer
    base: str
    models: tuple[str, str]
    pair: tuple[str, str]

    def loss(self, method: PairMethod, point: Point) -> float:
        """Of the search items of both manners; infinite for weights that overflow."""
        recipe = method.recipe(self.base, self.models, point)
        try:
            return balanced_loss([self.examiner.loss(recipe, asked_of(name)) for name in self.pair])
        except NonFiniteWeights:
            return math.inf

    def hits(self, method: PairMethod, point: Point) -> dict[str, str]:
        """Of the test items of both manners."""
        return _hits(self.examiner, method.recipe(self.base, self.models, point), self.pair)


def _measured(method: PairMethod, ask: _Asked, simpler: Mapping[str, float]) -> dict[str, Any]:
    """The setting of least loss of both manners, and its hits on the test items."""
    asked = 0
    if method.by_model and not method.contains:
        uniform = replace(method, by_model=False)
        search = _searched(uniform, ask, simpler, SIMPLE_SETTINGS)
        simpler, asked = _named(uniform, search), len(search.candidates)
    search = _searched(method, ask, simpler, SETTINGS - asked)
    return {
        "title": method.title,
        "values": _named(method, search),
        "loss": search.by_loss.loss,
        "settings": asked + len(search.candidates),
        "hits": ask.hits(method, search.by_loss.values),
    }


def _searched(
    method: PairMethod, ask: _Asked, simpler: Mapping[str, float], settings: int
) -> JointSearch:
    axes = method.axes(simpler)
    return joint_search(
        axes,
        lambda points: [ask.loss(method, point) for point in points],
        lambda points: [0.0] * len(points),
        Budget(settings, 1),
        extra=[tuple(axis.start if axis.absent is None else axis.absent for axis in axes)],
    )


def _named(method: PairMethod, search: JointSearch) -> dict[str, float]:
    """The values of the setting of least loss, by axis."""
    names = [axis.name for axis in method.axes()]
    return dict(zip(names, search.by_loss.values, strict=True))


def _hits(
    examiner: MergeExaminer, target: str | MergeRecipe, pair: tuple[str, str]
) -> dict[str, str]:
    """Manner -> a character for each of its test items."""
    return {name: bits(examiner.hits(target, asked_of(name), "test")) for name in pair}
