"""The pass of methods that combine deltas: all models at once, some rows of a tensor at a time.

No tensor ever exists as a whole in float32, unless it is one row, or a linear module that the
method takes as a matrix: a survey reads it as often as needed, then the rows are merged.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from dppa_core.checkpoints.chunks import Loader, widen
from dppa_core.merging.passes.chunk_pass import add_treated, round_into
from dppa_core.merging.passes.deltas import Raw, TensorStack
from dppa_core.methods.shared.stack import (
    Combination,
    Deltas,
    Own,
    Rows,
    Stack,
    Statistic,
    Streamed,
    parameters_at,
)
from dppa_core.progress import Stop, check
from dppa_core.pruning.floats import FLOATS

BLOCK = 1 << 18
"""Elements of each model per block, or one row if it is longer. The result depends on it: sums over
a tensor are made block by block."""


@dataclass(frozen=True, slots=True)
class CalibrationFacts:
    """Facts about one tensor of one model, from its calibration text."""

    array: Float32[ndarray, ...] | None
    """See `Statistics.arrays`; None if this tensor was not measured."""
    axis: int
    """Axis of its inputs."""
    norm: float
    """Norm of the statistics of the whole model."""


class CombinedPass:
    """Merges tensors by a combination. Safe for many threads: a survey of the model runs once.

    Args:
        loader: Makes the reader of one thread.
        models: References, in the recipe's order.
        names: All tensors with a delta, which a survey of the whole model reads.
        stack_of: Name -> parts of that tensor; called for each reading.
        stop: Ends such a survey between two blocks.
        facts_of: Tensor, model -> facts from its calibration text; for methods that use them.
        input_axes: Linear module -> axis of its inputs; for methods that take matrices.
    """

    def __init__(
        self,
        combination: Combination,
        parameters: Any,
        loader: Callable[[], Loader],
        models: Sequence[str],
        seed: int,
        names: Sequence[str],
        stack_of: Callable[[str, Loader], TensorStack | None],
        stop: Stop | None = None,
        facts_of: Callable[[str, int], CalibrationFacts] | None = None,
        input_axes: Mapping[str, int] | None = None,
    ) -> None:
        self._facts_of = facts_of
        self._input_axes = input_axes if input_axes and combination.matrices else {}
        self._combination, self._parameters, self._loader = combination, parameters, loader
        self._kernels = loader().kernels
        self._models, self._seed, self._stop = models, seed, stop
        self._names, self._stack_of = names, stack_of
        self._whole = combination.survey is not None and combination.whole_model(parameters)
        self._lock = threading.Lock()
        self._surveyed: tuple[tuple[int, ...], Any] | None = None

    def blocks(self, tensor: TensorStack) -> Iterator[tuple[int, Raw]]:
        """(first element, merged elements) of the tensor, some rows at a time, rounded once.

        Raises:
            NonFiniteWeights: NaN or infinity on any side, or a sum the dtype cannot hold.
        """
        members, statistic = self._survey(tensor)
        parameters = parameters_at(tensor.own, self._parameters)
        combined = bool(members) or self._combination.of_none(self._parameters)
        nothing = np.zeros(0, np.float32)
        for stack in self._stacks(tensor, members):
            if nothing.size < stack.base.size:
                nothing = np.zeros(stack.base.size, np.float32)
            merged = stack.base.reshape(-1)
            if combined:
                with np.errstate(all="ignore"):  # non-finite values are found and named later
                    delta = self._combination.combine(stack, parameters, statistic).ravel()
                    self._kernels.add_whole(merged, nothing[: delta.size], delta, 1.0)
            part: Raw = np.empty(merged.size, FLOATS[tensor.dtype])
            round_into(self._kernels, tensor, merged, part)
            yield stack.start, part

    def parts(
        self, tensor: TensorStack
    ) -> Iterator[tuple[int, Float32[ndarray, " n"], Float32[ndarray, "K n"]]]:
        """(first element, base, each model's part of the merged delta), some rows at a time.

        For a combination that adds them up. Base and parts are valid until the next ones.
        """
        members, statistic = self._survey(tensor)
        for stack in self._stacks(tensor, members):
            parts = np.zeros((len(self._models), stack.base.size), np.float32)
            if members and self._combination.parts:
                parameters = parameters_at(tensor.own, self._parameters)
                added = self._combination.parts(stack, parameters, statistic)
                parts[list(members)] = added.reshape(len(members), -1)
            yield stack.start, stack.base.reshape(-1), parts

    def _survey(self, tensor: TensorStack) -> tuple[tuple[int, ...], Any]:
        """The models that take part, and the result of the survey."""
        if self._whole:
            with self._lock:
                if self._surveyed is None:
                    self._surveyed = self._survey_model()
            return self._surveyed
        members = self._taking_part([tensor.coefficients])
        if self._combination.survey is None or not members or not tensor.base.size:
            return members, None
        numel, stacks = tensor.base.size, partial(self._stacks, tensor, members)
        streamed = Streamed(
            tensor.name, numel, len(members), stacks, _of_members(tensor.own, members)
        )
        parameters = parameters_at(tensor.own, self._parameters)
        return members, self._combination.survey((streamed,), parameters)

    def _survey_model(self) -> tuple[tuple[int, ...], Any]:
        sizes, own, coefficients = {}, {}, []
        for name in self._names:
            check(self._stop)
            tensor = self._stack_of(name, self._loader())
            if tensor is not None and tensor.base.size:
                sizes[name], own[name] = tensor.base.size, tensor.own
                coefficients.append(tensor.coefficients)
        members = self._taking_part(coefficients)
        if self._combination.survey is None or not members:
            return (), None
        streamed = tuple(
            Streamed(
                name,
                numel,
                len(members),
                partial(self._read, name, members),
                _of_members(own[name], members),
            )
            for name, numel in sizes.items()
        )
        return members, self._combination.survey(streamed, self._parameters)

    def _taking_part(self, coefficients: Sequence[tuple[float, ...]]) -> tuple[int, ...]:
        """Indices of the models with a coefficient other than 0 at some tensor, or of all."""
        by_model, every = zip(*coefficients, strict=True), self._combination.keeps_zeros
        return tuple(index for index, factors in enumerate(by_model) if every or any(factors))

    def _read(self, name: str, members: tuple[int, ...]) -> Iterator[Stack]:
        tensor = self._stack_of(name, self._loader())
        if tensor is not None:
            yield from self._stacks(tensor, members)

    def _stacks(self, tensor: TensorStack, members: tuple[int, ...]) -> Iterator[Stack]:
        """Some rows at a time; a stack is valid until the next one."""
        columns = tensor.columns
        facts = self._facts(tensor.name, members)
        step = max(BLOCK // columns, 1) * columns
        is_matrix = tensor.name in self._input_axes
        if is_matrix:
            step = math.prod(tensor.shape[-2:])  # of experts in one tensor each
        if self._combination.statistics == "gram" and any(f.array is not None for f in facts):
            step = tensor.base.size  # one matrix equation for all rows
        # Fresh pages for every block would cost as much as the work on it.
        longest = min(step, tensor.base.size)
        origin, room = np.empty(longest, np.float32), np.empty(len(members) * longest, np.float32)
        for start in range(0, tensor.base.size, step):
            check(self._stop)
            stop = min(start + step, tensor.base.size)
            part = origin[: stop - start]
            widen(self._kernels, tensor.base[start:stop], tensor.base_dtype, part)
            base: Rows = part.reshape(-1, columns)
            yield Stack(
                tensor.name,
                base,
                self._deltas(tensor, members, start, base.shape, room),
                tuple(tensor.coefficients[index] for index in members),
                tuple(self._models[index] for index in members),
                start,
                self._seed,
                tuple(self._statistic(fact, start, base.shape) for fact in facts),
                tuple(fact.norm for fact in facts),
                facts[0].axis if facts else self._input_axes.get(tensor.name, 1),
                is_matrix,
                self._kernels.stacked,
                _of_members(tensor.own, members),
            )

    def _facts(self, name: str, members: tuple[int, ...]) -> tuple[CalibrationFacts, ...]:
        if self._facts_of is None or not self._combination.statistics:
            return ()
        return tuple(self._facts_of(name, index) for index in members)

    def _statistic(self, facts: CalibrationFacts, start: int, shape: tuple[int, ...]) -> Statistic:
        """Of the same rows if it has one value per element, else whole."""
        if facts.array is None or self._combination.statistics == "gram":
            return facts.array
        return facts.array[start : start + math.prod(shape)].reshape(shape)

    def _deltas(
        self,
        tensor: TensorStack,
        members: tuple[int, ...],
        start: int,
        shape: tuple[int, ...],
        room: Float32[ndarray, " n"],
    ) -> Deltas:
        deltas: Deltas = room[: len(members) * math.prod(shape)].reshape(len(members), *shape)
        deltas[:] = 0
        loader = self._loader()
        for row, index in enumerate(members):
            delta = tensor.deltas[index]
            if delta is not None:
                add_treated(loader, tensor, delta, start, deltas[row].reshape(-1))
        return deltas


def _of_members(own: Own, members: tuple[int, ...]) -> Own:
    return tuple(own[index] for index in members) if own else ()
