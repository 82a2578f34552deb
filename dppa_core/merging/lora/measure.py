"""The factors of every module of a merge, and what they lose."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from dppa_core.forms.factors import (
    energy_of,
    lost_of_matrix,
    lost_of_product,
    reduced,
    truncated,
)
from dppa_core.merging.differences.sink import DifferenceSink
from dppa_core.merging.lora.adapter_sum import AdapterSum
from dppa_core.merging.lora.folder import AdaptedModule, Spool
from dppa_core.merging.lora.linear_modules import LinearModule
from dppa_core.merging.merger import TensorMerger
from dppa_core.merging.passes.deltas import Raw
from dppa_core.merging.tensor_tasks import write_tensors
from dppa_core.methods.shared.singular import Factors
from dppa_core.progress import RunControl, check, report
from dppa_core.pruning.floats import from_float32, to_float32
from dppa_core.system.threads import side_by_side


@dataclass(frozen=True, slots=True)
class MeasuredModule:
    """One module's factors, which lie in the temporary file, and what they lose."""

    adapted: AdaptedModule
    energy: float
    """Sum of the squares of the merged delta."""
    lost: float
    """Sum of the squares of what the factors leave of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Factoriser:
    """Makes the factors of single tensors of a merge, from any thread."""

    merger: TensorMerger
    total: AdapterSum | None
    """The merge as a sum of adapters; None if it is decomposed."""
    rank: int | None
    """Most directions of a matrix; None for all of a sum."""
    dtype: str
    """Of the factors."""
    spool: Spool

    def measure(self, name: str, module: LinearModule) -> MeasuredModule:
        """Make the factors of one tensor, and leave them in the temporary file."""
        whole = self._sum(name) if self.total else merged_delta(self.merger, name)
        if isinstance(whole, Factors):
            kept = whole if self.rank is None else reduced(whole, self.rank)
        else:
            kept = truncated(whole, self.rank or min(whole.shape))
        codes = [from_float32(np.ascontiguousarray(part), self.dtype) for part in kept]
        kept = Factors(*(to_float32(code, self.dtype) for code in codes))
        if isinstance(whole, Factors):
            energy, lost = energy_of(whole), lost_of_product(whole, kept)
        else:
            energy, lost = lost_of_matrix(whole), lost_of_matrix(whole, kept)
        left, right = codes
        pair = (left.T, right.T) if module.transposed else (right, left)
        shape = self.merger.base.shape(name)
        adapted = AdaptedModule(module, shape, kept.rank, self.spool.put(*pair))
        return MeasuredModule(adapted, energy, lost)

    def measure_all(
        self, modules: dict[str, LinearModule], workers: int, control: RunControl
    ) -> Iterator[tuple[str, MeasuredModule]]:
        """Those of many tensors, in order."""
        tasks = [partial(self.measure, name, module) for name, module in modules.items()]
        measured = side_by_side(tasks, workers)
        for count, (name, result) in enumerate(zip(modules, measured, strict=True), 1):
            check(control.get("stop"))
            report(control.get("progress"), count, len(modules), f"decompose {name}")
            yield name, result

    def _sum(self, name: str) -> Factors:
        if self.total and name in self.total.terms:
            return self.total.factors(name)
        rows, columns = self.merger.base.shape(name)
        return Factors(np.zeros((rows, 0), np.float32), np.zeros((0, columns), np.float32))


def merged_delta(merger: TensorMerger, name: str) -> Float32[ndarray, "rows columns"]:
    """The merged delta of a matrix."""
    dtype, shape, raw = merger.tensor(name)
    base, delta = merger.base, to_float32(raw, dtype)
    delta -= to_float32(base.raw(name), base.dtype(name))
    return delta.reshape(shape)


def left_out(
    merger: TensorMerger, modules: Collection[str], workers: int, control: RunControl
) -> dict[str, float]:
    """Tensor that an adapter does not hold -> sum of the squares of its delta, if it has any."""
    sink = _EnergySink(merger, modules)
    write_tensors(merger, sink, workers, verb="compare ", **control)
    return {name: energy for name, energy in sink.energies.items() if energy}


class _EnergySink(DifferenceSink):
    """Adds up the squares of what differs."""

    def __init__(self, merger: TensorMerger, modules: Collection[str]) -> None:
        dtype = merger.plan.tensors[min(modules)].dtype
        super().__init__(merger.base, dtype, by_parts=merger.blocks is not None)
        twins = merger.inputs.twins
        self.names = tuple(n for n in self.names if n not in modules and n not in twins)
        self._parts: dict[str, dict[int, float]] = {name: {} for name in self.names}
        self._lock = threading.Lock()

    @property
    def energies(self) -> dict[str, float]:
        """Tensor -> its sum, in the order of its slices."""
        return {name: sum(parts[at] for at in sorted(parts)) for name, parts in self._parts.items()}

    def compare(self, name: str, start: int, base: Raw, merged: Raw) -> None:
        """See `DifferenceSink`."""
        delta = to_float32(merged, self.dtype).astype(np.float64) - to_float32(base, self.dtype)
        with self._lock:
            self._parts[name][start] = float(np.vdot(delta, delta))
