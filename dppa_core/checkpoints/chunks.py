"""Tensors in chunks for the kernels, small enough for a core's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray

from dppa_core.checkpoints.page_copies import OnRead, PageCopies, origin
from dppa_core.kernels.protocol import Kernels, Stored

CHUNK = 1 << 16
"""Elements of a chunk: they fit a core's cache in float32."""

RUN = 1 << 19
"""Elements of a run, for pairs that need no widening: fewer calls, still in a cache. A multiple of
`CHUNK`."""

SLICE = 1 << 21
"""Elements of a slice, the work of one task; a multiple of `CHUNK`. It does not depend on the
number of workers, so sums by slice do not either."""


@dataclass(frozen=True, slots=True, eq=False)
class TensorPair:
    """One tensor of the base and of the domain model, raw."""

    name: str
    base: Shaped[ndarray, " n"]
    base_dtype: str
    finetuned: Shaped[ndarray, " n"]
    finetuned_dtype: str

    @property
    def numel(self) -> int:
        """Elements of the tensor."""
        return self.base.size


def slices(numel: int) -> tuple[tuple[int, int], ...]:
    """(start, stop) of every slice of a tensor."""
    return tuple((start, min(start + SLICE, numel)) for start in range(0, numel, SLICE))


class Loader:
    """Provides chunks of pairs, copied from mapped files and widened if needed.

    A chunk is valid until the next call. Two pairs with the same base share its chunk, which is
    read once. For one thread only.

    Args:
        read: Called with the bytes of every chunk.
        on_read: Called with every copied range; see `PageCopies`.
    """

    def __init__(
        self,
        kernels: Kernels,
        read: Callable[[int], None] | None = None,
        on_read: OnRead | None = None,
    ) -> None:
        self.kernels = kernels
        self._read, self._near = read, PageCopies(on_read)
        self._buffers: tuple[Float32[ndarray, " n"], ...] = ()

    def chunk(self, pair: TensorPair, start: int, stop: int) -> tuple[Stored, Stored]:
        """Both sides from `start` to `stop`: as stored if both are bfloat16, else float32.

        Read-only like mapped files: numba would compile all loops again for writable arrays.
        """
        old, new = self.near(0, pair.base[start:stop]), self.near(1, pair.finetuned[start:stop])
        if not pair.base_dtype == pair.finetuned_dtype == "BF16":
            old = self._wide(old, pair.base_dtype, 0)
            new = self._wide(new, pair.finetuned_dtype, 1)
        old.flags.writeable = new.flags.writeable = False  # the views only
        return old, new

    def runs(self, pair: TensorPair, start: int, stop: int) -> Iterator[tuple[int, Stored, Stored]]:
        """(flat index, base, domain model) from `start` to `stop`, in pieces to be read once."""
        length = self.longest(pair)
        for first in range(start, stop, length):
            yield (first, *self.chunk(pair, first, min(first + length, stop)))

    def longest(self, pair: TensorPair) -> int:
        """Elements of the longest piece of a pair."""
        dtypes = {pair.base_dtype, pair.finetuned_dtype}
        return RUN if dtypes in ({"BF16"}, {"F32"}) else CHUNK

    def near(self, place: int, raw: Shaped[ndarray, " n"]) -> Shaped[ndarray, " n"]:
        """A part of a tensor, copied if possible; valid until the next call with this place.

        Args:
            place: 0 for the base, 1 and up for its models.
        """
        copied = self._near.copy(place, raw)
        self.note(raw.nbytes)  # also for a copy: callers may read other parts as mapped
        return raw if copied is None else copied

    def copies(self, *raws: Shaped[ndarray, " n"]) -> bool:
        """Return True if an array would be copied, and so should be read a `RUN` at a time."""
        return any(origin(raw) for raw in raws)

    def note(self, nbytes: int) -> None:
        """Report bytes that were read without this loader."""
        if self._read is not None:
            self._read(nbytes)

    def _wide(self, raw: Shaped[ndarray, " n"], dtype: str, side: int) -> Float32[ndarray, " n"]:
        if dtype == "F32":
            return raw
        if not self._buffers:
            self._buffers = tuple(np.empty((2, CHUNK), np.float32))
        chunk: Float32[ndarray, " n"] = self._buffers[side][: raw.size]
        widen(self.kernels, raw, dtype, chunk)
        return chunk


def widen(
    kernels: Kernels, raw: Shaped[ndarray, " n"], dtype: str, out: Float32[ndarray, " n"]
) -> None:
    """Write raw weights of any float dtype as float32, without loss."""
    if dtype == "BF16":
        kernels.widen(raw, out)
    else:
        np.copyto(out, raw)
