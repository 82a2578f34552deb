"""One tensor of all domain models at once, as methods that look at them together see it.

Knows no weights on disk: whoever merges reads tensors and hands them over a few rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float32, UInt64
from numpy import ndarray

from dppa_core.methods.shared import numpy_loops as plain
from dppa_core.methods.shared.python_loops import Loops
from dppa_core.methods.shared.sign_election import SignBallot
from dppa_core.pruning.partition import Cut, drop_seed, mix, tensor_seed

Rows: TypeAlias = Float32[ndarray, "rows columns"]
Deltas: TypeAlias = Float32[ndarray, "K rows columns"]
Statistic: TypeAlias = Float32[ndarray, "a b"] | None


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Some rows of one tensor: the base, and the deltas of the models that take part.

    A row is a run along the last dimension; a vector is one row. A model whose coefficient is 0 at
    this tensor is left out, so that it neither votes nor counts; it stays, with the coefficient 0,
    where a survey is over the whole model and other tensors need it.
    """

    name: str
    """Of the tensor; part of every seed, so that neither order nor sharding matters."""
    base: Rows
    deltas: Deltas
    coefficients: tuple[float, ...]
    """Merging coefficient of each model at this tensor."""
    models: tuple[str, ...]
    """Their references; part of random draws."""
    start: int = 0
    """Flat index of the first element in its tensor."""
    seed: int = 0
    """The recipe's."""
    statistics: tuple[Statistic, ...] = ()
    """What each model's calibration text says of this tensor, where the combination asks for it:
    `fisher` of the same rows, `gram` of all inputs; None where nothing was measured."""
    norms: tuple[float, ...] = ()
    """Euclidean norm of each model's statistics, over all of its tensors."""
    inputs: int = 1
    """Axis of the weight's inputs: 1, but 0 in GPT-2."""
    loops: Loops = plain
    """What counts and elects; every implementation gives the same bytes."""

    def order(self) -> UInt64[ndarray, "rows columns"]:
        """The fixed pseudo-random order by which elements of equal rank are told apart."""
        return self._hashes(tensor_seed(self.name))

    def draws(self, model: int) -> UInt64[ndarray, "rows columns"]:
        """Uniform draws for random drops of one model; the same as those of the method dare."""
        return self._hashes(drop_seed(self.name, self.models[model], self.seed))

    def agree(self, cuts: Sequence[Cut], ballot: SignBallot) -> Rows:
        """The merged deltas of those who agree with the elected signs.

        Args:
            cuts: The border of each model; what lies outside is 0. Empty: nothing is trimmed.
            ballot: The rules.
        """
        return self.loops.agree(self.deltas, cuts, self.start, tensor_seed(self.name), ballot)

    def vote(self, cuts: Sequence[Cut]) -> int:
        """The signs elected by the trimmed deltas, turned as coefficients say, added up."""
        turned = [float(np.sign(value)) for value in self.coefficients]
        return self.loops.vote(self.deltas, cuts, self.start, tensor_seed(self.name), turned)

    def weighted(self) -> Deltas:
        """Every delta times its coefficient."""
        return self._times(self.coefficients)

    def signed(self) -> Deltas:
        """Every delta, turned around where its coefficient is negative."""
        return self._times([float(np.sign(value)) for value in self.coefficients])

    def _times(self, factors: Sequence[float]) -> Deltas:
        product: Deltas = self.deltas * np.array(factors, np.float32)[:, None, None]
        return product

    def _hashes(self, seed: int) -> UInt64[ndarray, "rows columns"]:
        flat = np.arange(self.start, self.start + self.base.size, dtype=np.uint64)
        hashes: UInt64[ndarray, "rows columns"] = mix(flat, seed).reshape(self.base.shape)
        return hashes


@dataclass(frozen=True, slots=True)
class Streamed:
    """A tensor that is read a few rows at a time, as often as asked."""

    name: str
    numel: int
    models: int
    """How many take part."""
    stacks: Callable[[], Iterable[Stack]]
    """Each is good until the next one is asked for."""


@dataclass(frozen=True, slots=True)
class Combination:
    """How a method makes one delta of several."""

    combine: Callable[[Stack, Any, Any], Rows]
    """Stack, parameters, statistic -> the merged delta of these rows, coefficients included."""
    survey: Callable[[Sequence[Streamed], Any], Any] | None = None
    """Tensors, parameters -> what `combine` must know beyond its rows; a few numbers."""
    whole_model: Callable[[Any], bool] = lambda parameters: False
    """Whether the survey of these parameters is over all tensors, or over the one at hand."""
    of_none: Callable[[Any], bool] = lambda parameters: False
    """Whether no model at all makes a delta too; else the base stays where none takes part."""
    statistics: Literal["", "fisher", "gram"] = ""
    """What of each model on its calibration text a stack must bring along; nothing if empty."""
    adds: Callable[[Any], bool] = lambda parameters: False
    """Whether the merged delta is a sum of parts, one a model, each times its coefficient, as long
    as that is positive."""
    parts: Callable[[Stack, Any, Any], Deltas] | None = None
    """Stack, parameters, statistic -> those parts; needed where it adds."""
