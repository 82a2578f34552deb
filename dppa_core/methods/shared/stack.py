"""One tensor of all domain models, for methods that combine deltas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float32, UInt64
from numpy import ndarray

from dppa_core.methods.shared import numpy_loops as plain
from dppa_core.methods.shared.python_loops import Loops
from dppa_core.methods.shared.sign_election import SignBallot
from dppa_core.methods.shared.singular import Factors
from dppa_core.pruning.tie_breaking import Cut, drop_seed, mix, tensor_seed

Rows: TypeAlias = Float32[ndarray, "rows columns"]
Deltas: TypeAlias = Float32[ndarray, "K rows columns"]
Statistic: TypeAlias = Float32[ndarray, "a b"] | None
Own: TypeAlias = tuple[Mapping[str, float], ...]
"""Settings of each model at one tensor that differ from the method's; empty if none do."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Some rows of one tensor: the base, and the deltas of the models that take part.

    A row runs along the last dimension; a vector is one row. A model with the coefficient 0 at this
    tensor is left out, so that it neither votes nor counts; it stays, with coefficient 0, if a
    survey of the whole model needs it for other tensors, or if the combination `keeps_zeros`.
    """

    name: str
    """Name of the tensor; part of every seed, so that order and sharding do not matter."""
    base: Rows
    deltas: Deltas
    coefficients: tuple[float, ...]
    """Merging coefficient of each model at this tensor."""
    models: tuple[str, ...]
    """References of the models; part of the seeds of random draws."""
    start: int = 0
    """Flat index of the first element in its tensor."""
    seed: int = 0
    """The recipe's."""
    statistics: tuple[Statistic, ...] = ()
    """Each model's calibration statistics of this tensor, if the combination needs them: `fisher`
    of the same rows, `gram` of all inputs; None if not measured."""
    norms: tuple[float, ...] = ()
    """Euclidean norm of each model's statistics, over all of its tensors."""
    inputs: int = 1
    """Axis of the weight's inputs: 1, but 0 in GPT-2. For Gram matrices, and matrices."""
    is_matrix: bool = False
    """True if the rows are all those of a linear module, for a combination of `matrices`."""
    loops: Loops = plain
    """Loops for counts and elections; every implementation gives the same bytes."""
    own: Own = ()

    def order(self) -> UInt64[ndarray, "rows columns"]:
        """The fixed pseudo-random order that breaks ties."""
        return self._hashes(tensor_seed(self.name))

    def draws(self, model: int) -> UInt64[ndarray, "rows columns"]:
        """Uniform draws for random drops of one model, equal to those of the method dare."""
        return self._hashes(drop_seed(self.name, self.models[model], self.seed))

    def agree(self, cuts: Sequence[Cut], ballot: SignBallot) -> Rows:
        """The merge of the deltas that agree with the elected signs.

        Elements outside the border of their model are 0; without borders nothing is trimmed.
        """
        return self.loops.agree(self.deltas, cuts, self.start, tensor_seed(self.name), ballot)

    def vote(self, cuts: Sequence[Cut]) -> int:
        """The sum of the signs elected by trimmed deltas, negated for negative coefficients."""
        turned = [float(np.sign(value)) for value in self.coefficients]
        return self.loops.vote(self.deltas, cuts, self.start, tensor_seed(self.name), turned)

    def weighted(self) -> Deltas:
        """Every delta times its coefficient."""
        return plain.times(self.deltas, self.coefficients)

    def signed(self) -> Deltas:
        """Every delta, negated if its coefficient is negative."""
        return plain.times(self.deltas, [float(np.sign(value)) for value in self.coefficients])

    def _hashes(self, seed: int) -> UInt64[ndarray, "rows columns"]:
        flat = np.arange(self.start, self.start + self.base.size, dtype=np.uint64)
        return mix(flat, seed).reshape(self.base.shape)


@dataclass(frozen=True, slots=True)
class Streamed:
    """A tensor that can be read repeatedly, a few rows at a time."""

    name: str
    numel: int
    models: int
    """Number of participating models."""
    stacks: Callable[[], Iterable[Stack]]
    """Each stack is valid until the next one is read."""
    own: Own = ()


def settings_of(tensor: Stack | Streamed, parameters: Any) -> tuple[Any, ...]:
    """The method's parameters for each model, with its own values."""
    count = tensor.models if isinstance(tensor, Streamed) else len(tensor.models)
    own: Own = tensor.own or ({},) * count
    return tuple(replace(parameters, **values) if values else parameters for values in own)


def parameters_at(own: Own, parameters: Any) -> Any:
    """The method's parameters at one tensor, with the values that all models have alike there."""
    alike = [field.name for field in fields(parameters) if field.metadata.get("own") == "alike"]
    values = {name: own[0][name] for name in alike if own and name in own[0]}
    return replace(parameters, **values) if values else parameters


@dataclass(frozen=True, slots=True)
class Combination:
    """The combination of several deltas into one."""

    combine: Callable[[Stack, Any, Any], Rows]
    """Stack, parameters, statistic -> the merged delta of these rows, coefficients included."""
    survey: Callable[[Sequence[Streamed], Any], Any] | None = None
    """Tensors, parameters -> the statistic `combine` needs beyond its rows; a few numbers."""
    whole_model: Callable[[Any], bool] = lambda parameters: False
    """True if the survey covers all tensors, False if only the current one."""
    of_none: Callable[[Any], bool] = lambda parameters: False
    """True if `combine` also runs without any model; otherwise the base stays then."""
    keeps_zeros: bool = False
    """True if a model with the coefficient 0 at a tensor stays in its stack."""
    statistics: Literal["", "fisher", "gram"] = ""
    """Calibration statistics of each model that a stack must contain; empty for none."""
    matrices: bool = False
    """True if it takes all rows of a linear module at once; other tensors still come in parts.
    Experts or heads that are stored as one tensor of three axes are a matrix each; modules that are
    stored as one matrix, as q, k and v of some families, stay one."""
    factored: Callable[[Sequence[Factors], Any, int], Factors] | None = None
    """Products that are the models' deltas of a module, coefficients included; parameters; the
    smaller side of the module -> the merged product. None if only whole matrices can be merged."""
    adds: Callable[[Any], bool] = lambda parameters: False
    """True if the merged delta is a sum of one part per model, each times its coefficient, for
    positive coefficients."""
    parts: Callable[[Stack, Any, Any], Deltas] | None = None
    """Stack, parameters, statistic -> these parts; needed if it adds."""
