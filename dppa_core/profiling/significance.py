"""Scores that rank elements instead of |d|, in chunks of one tensor.

A score is float32 arithmetic on single elements, so it is the same however a tensor is cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from dppa_core.checkpoints.chunks import CHUNK, Loader, TensorPair
from dppa_core.kernels.protocol import Kernels, Stored
from dppa_core.pruning.floats import to_float32
from dppa_core.pruning.tie_breaking import tensor_seed

Chunk = Float32[ndarray, " n"]


@dataclass(frozen=True, slots=True, eq=False)
class ByElement:
    """|d| times the square root of the element's importance."""

    importance: Float32[ndarray, " n"]
    """For every element of the tensor, from 0 on: the diagonal of its Fisher information."""

    def score(self, kernels: Kernels, base: Stored, tuned: Stored, start: int, out: Chunk) -> None:
        kernels.score(base, tuned, np.sqrt(self.importance[start : start + out.size]), out)


@dataclass(frozen=True, slots=True, eq=False)
class ByInput:
    """|d| times the norm of the input that the element multiplies."""

    norms: Float32[ndarray, " inputs"]
    run: int
    """Neighbours that share an input: 1 if a row has one weight per input, else a row."""

    def score(self, kernels: Kernels, base: Stored, tuned: Stored, start: int, out: Chunk) -> None:
        first, inputs = start // self.run, self.norms.size
        count = (start + out.size - 1) // self.run - first + 1
        weights = np.resize(np.roll(self.norms, -(first % inputs)), count)
        if self.run > 1:
            begin = start - first * self.run
            weights = np.repeat(weights, self.run)[begin : begin + out.size]
        kernels.score(base, tuned, weights, out)


@dataclass(frozen=True, slots=True)
class AtRandom:
    """A random number for every place, the same in every model: the control."""

    seed: int

    def score(self, kernels: Kernels, base: Stored, tuned: Stored, start: int, out: Chunk) -> None:
        kernels.score_random(base, tuned, start, self.seed, out)


Scoring = ByElement | ByInput | AtRandom
"""How the elements of one tensor are scored. `score` writes the scores of one chunk, whose first
element has the flat index `start`."""


@dataclass(frozen=True, slots=True)
class Score:
    """Ranking of the elements of a pair's delta, tensor by tensor."""

    kind: str
    """One of `significance.KINDS`, not the magnitude."""
    key: str
    """Equal if the scores are equal."""
    scorings: Mapping[str, Scoring] = field(default_factory=dict, repr=False)
    """Name in the domain model -> its scoring; empty for `random`, which needs none."""

    def scoring_of(self, tensor: str, tuned_name: str) -> Scoring | None:
        """Scoring of a tensor, by its names in base and domain model; None if not measured."""
        if self.kind == "random":
            return AtRandom(tensor_seed("random", tensor))
        return self.scorings.get(tuned_name)


RANDOM = Score("random", "random")


def ranked_chunk(
    loader: Loader, pair: TensorPair, scoring: Scoring | None, start: int, stop: int
) -> tuple[Chunk, Chunk]:
    """d of neighbours in a tensor, and what ranks them: |d|, or the score.

    Args:
        scoring: Ranks its elements, if not |d|.
        stop: Flat index after the last; at most a chunk.
    """
    base, tuned = loader.chunk(pair, start, stop)
    scores = None
    if scoring is not None:
        scores = np.empty(stop - start, np.float32)
        scoring.score(loader.kernels, base, tuned, start, scores)
    raw = pair.base[start:stop], pair.finetuned[start:stop]
    delta = to_float32(raw[1], pair.finetuned_dtype) - to_float32(raw[0], pair.base_dtype)
    return delta, np.abs(delta) if scores is None else scores


class ScoredLoader(Loader):
    """Returns scores as if they were the domain model's weights, and the base's were 0.

    Code that takes |tuned - base| then sees scores. For one thread only.
    """

    def __init__(self, loader: Loader, scoring: Scoring) -> None:
        super().__init__(loader.kernels)
        self._loader, self._scoring = loader, scoring
        self._zeros, self._scores = np.zeros(CHUNK, np.float32), np.empty(CHUNK, np.float32)

    def chunk(self, pair: TensorPair, start: int, stop: int) -> tuple[Stored, Stored]:
        """Zeros, and the scores from `start` to `stop`."""
        base, tuned = self._loader.chunk(pair, start, stop)
        scores = self._scores[: stop - start]
        self._scoring.score(self.kernels, base, tuned, start, scores)
        return self._zeros[: stop - start], scores

    def longest(self, pair: TensorPair) -> int:
        """Size of the buffer of scores."""
        return CHUNK


def ranked_by(loader: Loader, scoring: Scoring | None) -> Loader:
    """A loader of |d|, or of the score in its place."""
    return loader if scoring is None else ScoredLoader(loader, scoring)
