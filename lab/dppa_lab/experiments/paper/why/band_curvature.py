"""Which factors on the bands of a pruned delta are best: foretold and measured.

With kᵢ the bands that pruning keeps, the strongest first, r what it removes and mᵢ the bands'
factors minus 1, the loss near a domain model is

    L(m) = L + Σ mᵢ g·kᵢ - g·r + (Σᵢⱼ mᵢ mⱼ kᵢᵀGkⱼ - 2 Σ mᵢ kᵢᵀGr + rᵀGr) / 2,

as in `curvature.py` for one band. It is least where Σⱼ kᵢᵀGkⱼ mⱼ = kᵢᵀGr - g·kᵢ for every i.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.evaluation.analysis.logit_changes import LogitChanges, PerToken, logit_changes
from dppa_core.progress import RunControl
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tasks.intervals import RESAMPLES, SEED, Interval
from dppa_core.tasks.items import Item


@dataclass(frozen=True, slots=True)
class BandCurvature:
    """A delta pruned into bands, on the right answers to some questions."""

    energies: tuple[float, ...]
    """Share of the sum of d² that each band holds, and the removed part."""
    likeness: tuple[float, ...]
    """Cosine between what each band and what the removed part does to the logits, by G."""
    lead: Interval
    """The weakest band's likeness minus the strongest's; bootstrap over questions."""
    best: tuple[float, ...]
    """The foretold best factors."""
    own: tuple[float, ...]
    """Loss of the domain model at each question, nats summed over its tokens."""
    tokens: tuple[int, ...]
    """Number of tokens of each answer."""
    losses: tuple[tuple[float, ...], ...]
    """Measured with each setting, as `own`."""

    def loss(self, setting: int) -> float:
        """Mean loss with one of the settings, in nats per token."""
        return sum(self.losses[setting]) / sum(self.tokens)


def band_curvature(
    recipe: MergeRecipe,
    items: Sequence[Item],
    settings: Sequence[Sequence[float]],
    **control: Unpack[RunControl],
) -> BandCurvature:
    """Foretell and measure the loss of the right answers to some questions.

    Args:
        recipe: One domain model with a level for each band; its factors are left aside.
        settings: Factors of the bands, the strongest first, with which losses are measured.

    Raises:
        InvalidValue: not one domain model.
        OutOfBudget: a model that is too large.
    """
    changes = logit_changes(recipe, recipe.models[0].levels, items, settings, **control)
    products = _products(changes)
    by_question = [
        _summed(changes, losses).tolist() for losses in (changes.losses, *changes.measured)
    ]
    tokens = torch.bincount(changes.questions).tolist()
    mean = products.sum(0) / sum(tokens)
    slopes = [float(changes.slope(band).mean()) for band in range(len(mean) - 1)]
    likeness = _likeness(mean)
    return BandCurvature(
        changes.energies,
        tuple(likeness.tolist()),
        _lead(products),
        tuple(best_factors(mean, slopes)),
        tuple(by_question[0]),
        tuple(tokens),
        tuple(map(tuple, by_question[1:])),
    )


def best_factors(products: Float64[ndarray, "parts parts"], slopes: Sequence[float]) -> list[float]:
    """Where the second order is least.

    Args:
        products: aᵀGb of all bands and, last, the removed part.
        slopes: g·k of all bands.
    """
    kept, crossed = products[:-1, :-1], products[:-1, -1]
    more = np.linalg.lstsq(kept, crossed - np.array(slopes), rcond=None)[0]  # a band may be empty
    return [float(factor) for factor in 1 + more]


def _products(changes: LogitChanges) -> Float64[ndarray, "questions parts parts"]:
    """Summed over the tokens of every question."""
    parts = range(len(changes.along))
    return np.stack(
        [
            np.stack([_summed(changes, changes.product(a, b)).numpy() for b in parts], axis=-1)
            for a in parts
        ],
        axis=1,
    )


def _summed(changes: LogitChanges, values: PerToken) -> torch.Tensor:
    """Values of tokens summed over each question, in float64."""
    sums = torch.zeros(int(changes.questions.max()) + 1, dtype=torch.float64)
    return sums.index_add_(0, changes.questions, values.double())


def _likeness(products: Float64[ndarray, "*draws parts parts"]) -> Float64[ndarray, "*draws bands"]:
    """Cosines between each band and the removed part; 0 for a part that does nothing."""
    sizes = np.sqrt(np.diagonal(products, axis1=-2, axis2=-1))
    both = sizes[..., :-1] * sizes[..., -1:]
    return np.asarray(products[..., :-1, -1] / np.where(both > 0, both, np.inf))


def _lead(products: Float64[ndarray, "questions parts parts"]) -> Interval:
    rng = np.random.default_rng(SEED)
    count = len(products)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    drawn = _likeness(np.tensordot(weights.astype(np.float64), products, 1))
    value = _likeness(products.sum(0))
    low, high = np.quantile(drawn[:, -1] - drawn[:, 0], (0.025, 0.975))
    return Interval(float(value[-1] - value[0]), float(low), float(high))
