"""The numbers of an entry, chosen by a joint search on search items; one budget for every entry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dppa_core.errors import NonFiniteWeights
from dppa_core.tuning.search.axes import Point
from dppa_core.tuning.search.scoring import geometric_mean
from dppa_lab.zoo.joint_search import ACCURACIES, LOSSES, Budget, joint_search
from dppa_lab.zoo.results.entry import Entry
from dppa_lab.zoo.results.merge_examiner import MergeExaminer
from dppa_lab.zoo.results.retained import retained

BUDGET = Budget(LOSSES, ACCURACIES)
"""Settings asked of every entry: 24 by loss, 6 by retention."""


@dataclass(frozen=True, slots=True)
class ChosenValues:
    """The values chosen on the search split, and the cost of the search."""

    values: Mapping[str, float]
    """By the names of the entry's axes; empty for a method with nothing to choose."""
    losses: int
    """Number of settings whose loss was measured."""
    retentions: int
    """Number of settings whose retention was measured."""
    by_loss: Mapping[str, float]
    """The values of the least loss."""

    @property
    def point(self) -> Point:
        """The values in the order of the axes."""
        return tuple(self.values.values())

    @property
    def tried(self) -> dict[str, int]:
        """The numbers of settings, ready for JSON."""
        return {"losses": self.losses, "retentions": self.retentions}


def choose(
    entry: Entry,
    examiner: MergeExaminer,
    models: Mapping[str, str] | None = None,
    *,
    times: int = 1,
    begun: Mapping[str, float] | None = None,
) -> ChosenValues:
    """The values that a joint search finds on the search items; the same budget for every entry.

    Args:
        models: Domain -> the model whose accuracy a merge's is divided by; by default the merged.
        times: Multiplies the budget.
        begun: Values of a method that this one contains, at which its search begins.
    """
    axes = tuple(replace(a, start=(begun or {}).get(a.name, a.start)) for a in entry.axes())
    if not axes:
        return ChosenValues({}, 0, 0, {})
    models = models or entry.references
    accuracies = {
        domain: examiner.share(models[domain], domain, "search") for domain in entry.domains
    }

    def retention(point: Point) -> float:
        recipes = entry.recipes(point)
        try:
            hits = {
                domain: examiner.hits(recipes[domain], domain, "search") for domain in accuracies
            }
        except NonFiniteWeights:
            return 0.0
        return retained(hits, accuracies)

    search = joint_search(
        axes,
        lambda points: [loss_of(entry, examiner, point) for point in points],
        lambda points: list(map(retention, points)),
        budget=Budget(times * BUDGET.losses, times * BUDGET.accuracies),
    )
    compared = [trial for trial in search.candidates if trial.accuracy is not None]
    values, by_loss = (
        {axis.name: value for axis, value in zip(axes, trial.values, strict=True)}
        for trial in (search.best, search.by_loss)
    )
    return ChosenValues(values, len(search.candidates), len(compared), by_loss)


def loss_of(entry: Entry, examiner: MergeExaminer, point: Point) -> float:
    """Geometric mean over the domains of the loss of the right answers; infinite for weights that
    overflow. All published results were chosen by it: without the floor of `balanced_loss`."""
    recipes = entry.recipes(point)
    try:
        return geometric_mean([examiner.loss(recipes[name], name) for name in entry.domains])
    except NonFiniteWeights:
        return math.inf
