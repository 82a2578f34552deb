"""Checks that a set of models is one in which pruning can matter, from single models and whole
sums.

Nothing is pruned here: a set that is chosen by this check favours no way of pruning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import combinations
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from dppa_core.charts.tables import listed, percent, text_table
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import retention
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.density import outliers, significance
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_lab.zoo.trained_set import trained_set

ITEMS = 200
"""Search items per domain."""
LEAST_ALONE = 0.85
"""Accuracy that each model needs on its own domain."""
KEPT = (0.40, 0.85)
"""Range of the mean retention of a whole sum at its best coefficient: lower, it collapses; higher,
pruning has nothing to win."""


@dataclass(frozen=True, slots=True)
class WholeSum:
    """The base plus the unpruned deltas of some domains, all at one coefficient."""

    domains: tuple[str, ...]
    coefficient: float
    kept: dict[str, float]
    """Accuracy as a share of the domain model's own, per domain."""

    @property
    def mean(self) -> float:
        """Mean of `kept`; 0 where no domain model answers anything."""
        return sum(self.kept.values()) / len(self.kept) if self.kept else 0.0


@dataclass(frozen=True, slots=True)
class SetCheck:
    """Accuracies of a set's models alone and in whole sums, and the spread of its layers."""

    alone: dict[str, float]
    """Accuracy on the own domain."""
    sums: tuple[WholeSum, ...]
    spreads: dict[str, tuple[float, float]]
    """Of each domain model, largest ÷ smallest of its layers' significances, and of their mean
    |d|; infinite where the smallest is 0."""

    @property
    def best(self) -> tuple[WholeSum, ...]:
        """Each sum at the coefficient that keeps most."""
        groups: dict[tuple[str, ...], list[WholeSum]] = {}
        for whole in self.sums:
            groups.setdefault(whole.domains, []).append(whole)
        return tuple(max(group, key=lambda whole: whole.mean) for group in groups.values())

    @property
    def between(self) -> tuple[tuple[str, ...], ...]:
        """The sums whose retention lies in `KEPT` at their best coefficient."""
        return tuple(whole.domains for whole in self.best if KEPT[0] <= whole.mean <= KEPT[1])

    @property
    def met(self) -> bool:
        """True if each model is good alone and at least one sum lies between."""
        return min(self.alone.values()) >= LEAST_ALONE and bool(self.between)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy; shares are fractions."""
        return {
            "alone": self.alone,
            "sums": [
                {**asdict(whole), "domains": list(whole.domains), "mean": whole.mean}
                for whole in self.sums
            ],
            "spreads": {
                name: {
                    key: ratio if isfinite(ratio) else None
                    for key, ratio in zip(("significance", "size"), ratios, strict=True)
                }
                for name, ratios in self.spreads.items()
            },
            "between": [list(group) for group in self.between],
            "met": self.met,
            "conditions": {"items": ITEMS, "alone": LEAST_ALONE, "kept": list(KEPT)},
        }

    def text(self) -> str:
        """Tables for a terminal, and the verdict."""
        models = [
            [name, percent(share), *(f"{spread:.2f}" for spread in self.spreads[name])]
            for name, share in self.alone.items()
        ]
        sums = [
            [
                "+".join(whole.domains),
                f"{whole.coefficient:.2f}",
                percent(whole.mean),
                ", ".join(f"{name} {percent(share)}" for name, share in whole.kept.items()),
            ]
            for whole in self.sums
        ]
        between = listed(["+".join(group) for group in self.between]) or "no sum"
        return "\n\n".join(
            [
                text_table(["model", "alone", "layers: significance", "mean |d|"], models),
                text_table(["whole sum", "coefficient", "keeps", "of each"], sums),
                f"{'Met' if self.met else 'Not met'}: each alone {percent(LEAST_ALONE)} or more, "
                f"and whole sums that keep {percent(KEPT[0])} to {percent(KEPT[1])} at their best "
                f"coefficient. In between: {between}.",
            ]
        )


def check_set(
    folder: Path, *, limit: int = ITEMS, say: Callable[[str], None] = lambda text: None
) -> SetCheck:
    """Ask the models of a set and their whole sums, on the search split.

    Args:
        folder: Contains base and one or more of math, finance and law.
        limit: Search items per domain.
        say: Called with a line per sum.

    Raises:
        MissingCheckpoint: no domain model is there, or no base.
    """
    models = dict(trained_set(folder).references)
    base = models.pop("base")
    examiner, alone, sums = Examiner(keep=False), dict[str, float](), []
    for name, model in models.items():
        alone[name] = examiner.evaluation(model, [name], split="search", limit=limit).mean
        say(f"{name} alone: {percent(alone[name])}")
    for count in range(2, len(models) + 1):
        for group in combinations(models, count):
            for coefficient in (1.0, 0.7, 1 / count):
                deltas = [DomainModel(models[name], coefficient=coefficient) for name in group]
                recipe = MergeRecipe(base, tuple(deltas), method="task_arithmetic")
                scores = examiner.evaluation(recipe, group, split="search", limit=limit)
                sums.append(WholeSum(group, coefficient, retention(scores, alone)))
                say(f"{'+'.join(group)} x {coefficient:.2f}: {percent(sums[-1].mean)}")
    spreads = {name: _spreads(cached_profile(base, model)) for name, model in models.items()}
    return SetCheck(alone, tuple(sums), spreads)


def _spreads(profile: DeltaProfile) -> tuple[float, float]:
    """Largest ÷ smallest significance of a layer, and mean |d| of a layer."""
    by_layer = significance(profile, PruningParameters())
    groups = [
        [delta for delta in profile.modules if delta.module.layer == layer]
        for layer in by_layer.layers
    ]
    sizes = np.array([outliers(group, 1.0).mean for group in groups])
    ratios = (
        float(values.max() / values.min()) if values.min() else float("inf")
        for values in (by_layer.layer, sizes)
    )
    return next(ratios), next(ratios)
