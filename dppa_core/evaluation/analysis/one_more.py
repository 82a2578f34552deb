"""What each further model brings: the mean loss of merges of k of a recipe's models, and its law.

On one base the expected loss of merges of k experts is floor + A / (k + b): E[L | N, k] = L∞(N) +
A(N) / (k + b) at a fixed size N (Model Merging Scaling Laws in Large Language Models,
arXiv:2509.24244).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations
from math import comb
from random import Random
from typing import Any, Unpack

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.charts.plots import Axis, Chart, Series
from dppa_core.charts.tables import percent
from dppa_core.evaluation.entrant_measurements import measure, text_rows
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.perplexity import WINDOW_TOKENS
from dppa_core.evaluation.side_by_side import Entrant, with_models
from dppa_core.progress import RunControl
from dppa_core.recipes.yaml_text import MergeRecipe

MAX_MERGES = 10
"""Most merges of each number of models; of more that many are drawn."""
MIN_POINTS = 3
"""The law has three numbers."""
MIN_EXPLAINED = 0.95
"""Share of the variance of the means that a law explains if it may be followed further."""
_MAX_OFFSET, _OFFSETS, _ROUNDS = 100.0, 201, 8
_ROUNDING_NATS = 1e-6
"""Losses that fall by less do not fall."""


@dataclass(frozen=True, slots=True)
class MergingLaw:
    """floor + a / (k + b), in nats per token; no number is negative."""

    floor: float
    a: float
    b: float

    def loss(self, models: int) -> float:
        """The expected loss of merges of so many models."""
        return self.floor + self.a / (models + self.b)


@dataclass(frozen=True)
class LossCurve:
    """Losses of merges, in nats per token."""

    losses: tuple[tuple[float, ...], ...]
    """Of merges of one model, of two, and so on up to all."""

    @cached_property
    def means(self) -> tuple[float, ...]:
        """The mean loss for each number of models."""
        return tuple(sum(merges) / len(merges) for merges in self.losses)

    @cached_property
    def law(self) -> MergingLaw | None:
        """Fitted to the means; None for fewer than `MIN_POINTS`."""
        return fitted_law(self.means) if len(self.means) >= MIN_POINTS else None

    @cached_property
    def explained(self) -> float:
        """Share of the variance of the means that the law explains; 0 without a law."""
        if self.law is None or not self.law.a:
            return 0.0
        count = len(self.means)
        means, models = np.array(self.means), np.arange(1, count + 1)
        misses = means - np.array([self.law.loss(k) for k in range(1, count + 1)])
        around = means - models @ means / models.sum()
        return float(1 - models @ misses**2 / (models @ around**2))

    @property
    def gain(self) -> float | None:
        """How much one more model is expected to lower the loss; None if the law does not say."""
        if self.law is None or self.explained < MIN_EXPLAINED:
            return None
        return self.law.loss(len(self.means)) - self.law.loss(len(self.means) + 1)

    def sentence(self) -> str:
        """What one more model is expected to bring, in one to three sentences."""
        law, n, means = self.law, len(self.means), self.means
        if law is None:
            return (
                f"A forecast takes a recipe of {MIN_POINTS} models or more, because the law has "
                f"{MIN_POINTS} numbers."
            )
        if not law.a:
            return (
                f"The loss does not fall with more models ({means[0]:.4g} with one, "
                f"{means[-1]:.4g} with {n}), so the law does not fit: nothing says that one more "
                "would lower it."
            )
        if self.gain is None:
            share, cause = percent(self.explained), ""
            if means[-2] - means[-1] > law.loss(n - 1) - law.loss(n):
                cause = (
                    " The last model brings too much for it; models that each know a domain of "
                    "their own are the usual cause."
                )
            return (
                f"The law explains {share} of how the loss falls, too little for a forecast: its "
                f"fit is shown from {percent(MIN_EXPLAINED)} on.{cause}"
            )
        text = (
            f"Fit: {law.floor:.4g} + {law.a:.4g} / (k + {law.b:.3g}). One more model like these is "
            f"expected to lower the loss by {self.gain:.3g} to {law.loss(n + 1):.4g} nats a token: "
            "an extrapolation."
        )
        if not law.floor or law.b > 0.99 * _MAX_OFFSET:
            text += " The floor is a guess: the curve does not bend enough."
        elif n == MIN_POINTS:
            text += " Nothing checks it: three points fix three numbers."
        return text

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready copy."""
        law, n, gain = self.law, len(self.means), self.gain
        fit = law if gain is not None else None
        points: list[dict[str, Any]] = [
            {"models": k, "merges": len(merges), "of": comb(n, k), "mean": mean}
            | {"low": min(merges), "high": max(merges), "fit": fit.loss(k) if fit else None}
            for k, (merges, mean) in enumerate(zip(self.losses, self.means, strict=True), 1)
        ]
        more = None
        if law and gain is not None:
            more = {"models": n + 1, "loss": law.loss(n + 1), "gain": gain}
        return {
            "unit": "nats per token",
            "points": points,
            "law": asdict(law) | {"explained": self.explained} if law else None,
            "one_more": more,
            "sentence": self.sentence(),
        }

    def chart(self) -> Chart:
        """The losses over the number of models, and the law up to one more."""
        count = len(self.means)
        numbers = tuple(float(k) for k in range(1, count + 2))
        low, high = (tuple(map(end, self.losses)) for end in (min, max))
        series = [Series("mean, lowest to highest", numbers[:-1], self.means, low, high)]
        title = f"Loss of merges of 1 to {count} models"
        if self.law and self.gain is not None:
            fit = tuple(self.law.loss(k) for k in range(1, count + 2))
            series.append(Series("fit, and one more", numbers, fit))
            title = f"One more model is expected to lower the loss by {self.gain:.3g}"
        axes = Axis("models in the merge"), Axis("loss", "nats per token")
        return Chart("lines", title, *axes, tuple(series))


def subsets(count: int, k: int) -> list[tuple[int, ...]]:
    """All k of `count` models; at most `MAX_MERGES` of them, drawn with a fixed seed."""
    if comb(count, k) <= MAX_MERGES:
        return list(combinations(range(count), k))
    random, drawn = Random(k), set[tuple[int, ...]]()
    while len(drawn) < MAX_MERGES:
        drawn.add(tuple(sorted(random.sample(range(count), k))))
    return sorted(drawn)


def fitted_law(means: Sequence[float]) -> MergingLaw:
    """The law nearest to the mean losses of merges of one model, of two, and so on.

    Least squares; a mean of k models weighs k, because merges of more models differ less. `a` is 0
    if the losses do not fall.
    """
    losses, models = np.array(means, np.float64), np.arange(1.0, len(means) + 1)
    low, high = 0.0, _MAX_OFFSET
    for _ in range(_ROUNDS):  # each looks closer between the neighbours of the best offset
        offsets = np.linspace(low, high, _OFFSETS)
        misses = [_line(losses, models, offset)[0] for offset in offsets]
        best = int(np.argmin(misses))
        low, high = offsets[max(best - 1, 0)], offsets[min(best + 1, _OFFSETS - 1)]
    _, floor, a = _line(losses, models, offsets[best])
    law = MergingLaw(floor, a, round(float(offsets[best]), 6))
    if law.loss(1) - law.loss(len(means)) < _ROUNDING_NATS:
        return MergingLaw(float(models @ losses / models.sum()), 0.0, 0.0)
    return law


def _line(
    losses: Float64[ndarray, " k"], models: Float64[ndarray, " k"], offset: float
) -> tuple[float, float, float]:
    """Squared distance, floor and factor, neither negative, of the best law with this offset."""
    x, weights = 1 / (models + offset), models / models.sum()
    middle, mean = weights @ x, weights @ losses
    a = max(0.0, weights @ ((x - middle) * (losses - mean)) / (weights @ (x - middle) ** 2))
    floor = mean - a * middle
    if floor < 0:
        floor, a = 0.0, weights @ (x * losses) / (weights @ x**2)
    return float(weights @ (losses - floor - a * x) ** 2), float(floor), float(a)


def loss_curve(
    examiner: Examiner,
    recipe: MergeRecipe,
    domains: Sequence[str],
    text: str = "",
    *,
    split: str = "test",
    limit: int | None = None,
    **control: Unpack[RunControl],
) -> LossCurve:
    """Measure merges of every number of a recipe's models, with its other settings as they are.

    Args:
        domains: The loss of a merge is the mean over their right answers' losses.
        text: Without domains, the loss is that of this text.
        split, limit: As of `Exam`.

    Raises:
        InvalidRecipe: a method that does not merge so few models.
    """
    count, entrants = len(recipe.models), list[Entrant]()
    places = [subset for k in range(1, count + 1) for subset in subsets(count, k)]
    for subset in places:
        models = [recipe.models[place] for place in subset]
        name = " + ".join(model.model for model in models)
        entrants.append(Entrant(str(subset), name, with_models(recipe, models)))
    if domains:
        side = measure(examiner, entrants, domains, split=split, limit=limit, **control)
        scores = [[side.score(one.key, domain) for domain in domains] for one in entrants]
        losses = [float(np.mean([score.loss for score in row if score])) for row in scores]
    else:
        rows = text_rows(examiner, entrants, text, window=WINDOW_TOKENS, stride=None, **control)
        losses = [row["loss"]["value"] for row in rows]
    pairs = list(zip(places, losses, strict=True))
    return LossCurve(
        tuple(
            tuple(loss for subset, loss in pairs if len(subset) == k) for k in range(1, count + 1)
        )
    )
