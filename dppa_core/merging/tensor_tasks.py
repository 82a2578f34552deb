"""Merged tensors as tasks for any thread: slices merged into a folder, a pack or memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, nullcontext
from functools import partial
from typing import Literal, Protocol, runtime_checkable

from dppa_core.checkpoints.chunks import slices
from dppa_core.merging.merger import TensorMerger
from dppa_core.merging.passes.chunk_pass import ChunkPass
from dppa_core.merging.passes.deltas import Raw, TensorStack
from dppa_core.merging.passes.whole_pass import PassBuffers, planned_kept
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.system.threads import SharedValue, SparePool, side_by_side

WHOLE_MIN_NUMEL = 20_000_000
"""Parameters from which tensors are merged whole: compiling that pass takes seconds."""

BOUNDED_MAX_NUMEL, SCRATCH_WORDS = 1 << 23, 1 << 22
"""Most elements of a tensor that is merged whole where memory is bounded, and most words of 8 bytes
it may take to settle its ties."""


@runtime_checkable
class Sink(Protocol):
    """Takes merged tensors in slices, from any thread in any order."""

    @property
    def names(self) -> tuple[str, ...]:
        """The tensors it wants, in its preferred order."""

    @property
    def whole(self) -> Literal["never", "bounded", "always"]:
        """When tensors may be merged whole.

        "bounded" if memory may not depend on the model's size, and kept elements are counted: each
        tensor is read once, and not kept mapped.
        """

    def keep(self, name: str, kept: tuple[int, ...], stack: TensorStack | None = None) -> None:
        """Note the elements kept of each domain model's delta in one tensor, and its parts unless
        it is merged whole; may be repeated."""

    def room(self, name: str, start: int, stop: int) -> Raw | None:
        """Memory of the merged dtype for a slice, then taken in one piece; None if it has none."""

    def take(self, name: str, start: int, merged: Raw, base: Raw | None) -> None:
        """Take elements from `start` on, valid until this returns; copied ones have no `base`."""


def write_tensors(
    merger: TensorMerger,
    sink: Sink,
    workers: int,
    *,
    progress: Progress | None = None,
    stop: Stop | None = None,
    verb: str = "",
) -> None:
    """Merge the tensors that a sink wants, on several threads.

    Args:
        workers: Threads. The bytes are the same.
        progress: Called after each tensor, in their order.
        stop: Ends the work between two slices of tensors.
        verb: First word of the progress texts.

    Raises:
        NonFiniteWeights: NaN or infinity in a weight, or in a sum.
        Cancelled: `stop` was set.
    """
    missing = {name: merger.plan.tensors[name].numel for name in sink.names}
    complete = sum(not elements for elements in missing.values())
    tasks = _Tasks(merger, sink, sum(missing.values()), stop)
    with closing(side_by_side(tasks.all(), workers)) as written:
        for name, elements in written:
            missing[name] -= elements
            if elements and not missing[name]:
                complete += 1
                report(progress, complete, len(missing), verb + name)
    check(stop)  # workers may have finished before it was set


class _Tasks:
    """One task per slice. It returns the tensor's name and the number of elements taken."""

    def __init__(self, merger: TensorMerger, sink: Sink, numel: int, stop: Stop | None) -> None:
        self._merger, self._sink, self._stop = merger, sink, stop
        self._chunks = SparePool(lambda: ChunkPass(merger.loader()))
        self._bounded = sink.whole == "bounded"
        fast = merger.backend == "numba" and merger.recipe.dtype == "bfloat16"
        possible = fast and numel >= WHOLE_MIN_NUMEL and merger.blocks is None
        largest = {"never": -1, "bounded": BOUNDED_MAX_NUMEL, "always": sys.maxsize}[sink.whole]
        self._largest = largest if possible else -1
        self._buffers = SparePool(
            lambda: PassBuffers(SCRATCH_WORDS, merger.loader()) if self._bounded else PassBuffers()
        )

    def all(self) -> Iterator[partial[tuple[str, int]]]:
        for name in self._sink.names:
            numel = self._merger.plan.tensors[name].numel
            whole = numel <= self._largest and self._merger.base.dtype(name) == "BF16"
            undivided = whole or self._merger.blocks is not None
            parts = ((0, numel),) if undivided else slices(numel)
            stack = SharedValue(partial(self._stack, name), len(parts))
            yield from (partial(self._write, name, stack, whole, *part) for part in parts)

    def _write(
        self, name: str, stack: SharedValue[TensorStack | None], whole: bool, start: int, stop: int
    ) -> tuple[str, int]:
        check(self._stop)
        whole = whole and (not self._bounded or self._announce_kept(name))
        with self._buffers.use() if whole else nullcontext() as buffers:
            out = self._sink.room(name, start, stop)
            pieces = self._merger.pieces(name, start, stop, stack, self._chunks, out, buffers)
            for first, merged, base in pieces:
                self._sink.take(name, first, merged, base)
        return name, stop - start

    def _announce_kept(self, name: str) -> bool:
        """Tell the sink the kept elements of each delta; False if the plan does not know them."""
        plan, twins = self._merger.plan, self._merger.inputs.twins
        kept = planned_kept(plan.treatments(twins.get(name, name)), plan.tensors[name].numel)
        if kept is not None:
            self._sink.keep(name, kept)
        return kept is not None

    def _stack(self, name: str) -> TensorStack | None:
        with self._chunks.use() as chunks:
            stack = self._merger.stack(name, chunks.loader)
        if stack is not None:
            self._sink.keep(name, stack.kept, stack)
        return stack
