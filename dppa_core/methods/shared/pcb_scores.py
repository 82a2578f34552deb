"""The scores of PCB-Merging, as in the paper and as in its authors' program.

The paper leaves the normalisation open: here it is min-max to [0, 1], as in the program.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.methods.shared.ranking import values_at
from dppa_core.methods.shared.stack import Deltas, Rows, Stack, Streamed

OUTLIERS = 0.0001
"""Share of the smallest and of the largest |d| that the authors' program clamps."""

PIECE = 1 << 13
"""Elements that are scored at once."""

Wide = Float64[ndarray, "rows columns"]


@dataclass(frozen=True, slots=True, eq=False)
class PaperScores:
    """softmax(K norm(d_i d_i)) times the sum over j of softmax(norm(d_i d_j))."""

    low: Float64[ndarray, "K K"]
    """The smallest product of two models' deltas."""
    span: Float64[ndarray, "K K"]
    """Largest minus smallest product; 1 if they are equal."""
    means: Float64[ndarray, "K K"]
    """The mean of exp(norm(d_i d_j)): a softmax's divisor over the number of elements."""
    own_means: Float64[ndarray, " K"]
    """The mean of exp(K norm(d_i d_i))."""

    def __call__(self, stack: Stack) -> Deltas:
        """Scores in units of the mean: a softmax over n elements times n."""
        deltas = stack.signed()
        scores = np.empty(deltas.shape, np.float32)
        for rows in pieces(deltas):
            scores[:, rows] = self._scored(deltas[:, rows])
        return scores

    def _scored(self, deltas: Deltas) -> Deltas:
        models = len(deltas)
        within, across = np.empty(deltas.shape), np.zeros(deltas.shape)
        for i, j in pairs(models):
            norm = self.norm(deltas, i, j)
            power = np.exp(norm) / self.means[i, j]
            across[i] += power
            if i == j:
                within[i] = np.exp(models * norm) / self.own_means[i]
            else:
                across[j] += power
        return np.asarray((within * across).astype(np.float32))

    def norm(self, deltas: Deltas, i: int, j: int) -> Wide:
        """The products of two models' deltas in [0, 1]."""
        return np.asarray((product(deltas, i, j) - self.low[i, j]) / self.span[i, j])

    def clamped(self, stack: Stack) -> Deltas:
        """The deltas; nothing is clamped."""
        return stack.signed()


def product(deltas: Deltas, i: int, j: int) -> Wide:
    """d_i times d_j in float64: in float32 the square of a small delta underflows."""
    return np.asarray(np.multiply(deltas[i], deltas[j], dtype=np.float64))


def pairs(models: int) -> list[tuple[int, int]]:
    """All pairs of models with i <= j: products are symmetric."""
    return list(combinations_with_replacement(range(models), 2))


def pieces(deltas: Deltas) -> Iterator[slice]:
    """Rows so few that arrays of float64 stay in the processor's cache: twice as fast."""
    _, rows, columns = deltas.shape
    step = max(PIECE // columns, 1)
    yield from (slice(start, start + step) for start in range(0, rows, step))


def paper_scores(tensors: Sequence[Streamed]) -> PaperScores:
    """Two passes: the range of every product, then the divisors of every softmax."""
    models = tensors[0].models
    low, high = np.full((models, models), np.inf), np.full((models, models), -np.inf)
    for deltas in _parts(tensors):
        for i, j in pairs(models):
            products = product(deltas, i, j)
            low[i, j] = low[j, i] = min(low[i, j], products.min())
            high[i, j] = high[j, i] = max(high[i, j], products.max())
    span = np.where(high > low, high - low, 1.0)
    ranged = PaperScores(low, span, np.ones((models, models)), np.ones(models))
    sums, own_sums = np.zeros((models, models)), np.zeros(models)
    for deltas in _parts(tensors):
        for i, j in pairs(models):
            norm = ranged.norm(deltas, i, j)
            sums[i, j] += np.exp(norm).sum()
            sums[j, i] = sums[i, j]
            if i == j:
                own_sums[i] += np.exp(models * norm).sum()
    numel = sum(tensor.numel for tensor in tensors)
    return PaperScores(low, span, sums / numel, own_sums / numel)


def _parts(tensors: Sequence[Streamed]) -> Iterator[Deltas]:
    for tensor in tensors:
        for stack in tensor.stacks():
            deltas = stack.signed()
            yield from (deltas[:, rows] for rows in pieces(deltas))


@dataclass(frozen=True, slots=True)
class ReferenceScores:
    """exp(K norm(|d|)²) times tanh(d times the sum of all deltas), |d| clamped; 0 if negative."""

    smallest: tuple[float, ...]
    largest: tuple[float, ...]

    def __call__(self, stack: Stack) -> Deltas:
        """Scores as in the authors' program, except that negative ones are 0."""
        deltas = stack.signed()
        together = deltas.sum(axis=0)
        scores = np.empty(deltas.shape, np.float32)
        for i, (low, high) in enumerate(zip(self.smallest, self.largest, strict=True)):
            size = self._size(deltas[i], i).astype(np.float64)
            norm = (size - low) / (high - low if high > low else 1.0)
            agreement = np.tanh((deltas[i] * together).astype(np.float64))
            scores[i] = np.maximum(np.exp(len(deltas) * norm**2) * agreement, 0.0)
        return scores

    def clamped(self, stack: Stack) -> Deltas:
        """The deltas with |d| clamped."""
        deltas = stack.signed()
        sizes = [self._size(delta, i) for i, delta in enumerate(deltas)]
        return np.asarray(np.sign(deltas) * np.stack(sizes))

    def _size(self, delta: Rows, model: int) -> Rows:
        low, high = np.float32(self.smallest[model]), np.float32(self.largest[model])
        return np.asarray(np.clip(np.abs(delta), low, high))


Scores = PaperScores | ReferenceScores


def reference_scores(tensors: Sequence[Streamed]) -> ReferenceScores:
    """Find the limits at which |d| is clamped."""
    models = tensors[0].models
    numel = sum(tensor.numel for tensor in tensors)
    places = int(numel * OUTLIERS), int(numel * (1 - OUTLIERS) - 1)
    smallest, largest = (
        values_at(tensors, [max(place, 0)] * models, lambda stack: stack.deltas) for place in places
    )
    return ReferenceScores(smallest, largest)
