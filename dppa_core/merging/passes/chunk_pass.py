"""The pass in chunks: base plus weighted, pruned deltas, rounded once.

Chunks fit a core's cache: neither a delta nor a mask ever exists as a whole, nor need the result.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from dppa_core.checkpoints.chunks import CHUNK, RUN, Loader, widen
from dppa_core.checkpoints.matching import check_finite
from dppa_core.errors import NonFiniteWeights
from dppa_core.kernels.protocol import MAX_FUSED_MODELS, Kernels
from dppa_core.merging.passes.deltas import Chunk, Raw, TensorDelta, TensorStack, magnitude_bands
from dppa_core.pruning.floats import FLOATS
from dppa_core.pruning.tie_breaking import tensor_seed

LIMITS = {"BF16": 3.3961775e38, "F16": 65520.0, "F32": float("inf")}
"""Dtype -> the first magnitude that rounds to infinity."""


class ChunkPass:
    """Adds deltas to a base, each sum in float32, rounded once. For one thread only."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader
        self._acc = np.empty(CHUNK, np.float32)
        self._out = np.empty(0, np.uint16)

    def merge(self, stack: TensorStack, start: int, stop: int, out: Raw | None = None) -> Raw:
        """Merge the elements from `start` to `stop`, into `out` if given.

        Otherwise the result is valid until the next call.

        Raises:
            NonFiniteWeights: NaN or infinity on either side, or a sum too large for the dtype.
        """
        if out is None:
            dtype = FLOATS[stack.dtype]
            if self._out.dtype != dtype or self._out.size < stop - start:
                self._out = np.empty(stop - start, dtype)
            out = self._out[: stop - start]
        if self._fuse(stack, start, out):
            return out
        for first in range(0, out.size, CHUNK):
            part = out[first : first + CHUNK]
            acc = self._acc[: part.size]
            self._add_deltas(stack, start + first, acc)
            round_into(self.loader.kernels, stack, acc, part)
        return out

    def _fuse(self, stack: TensorStack, start: int, out: Raw) -> bool:
        """Merge in a single loop; False if it cannot, or meets values that are not finite."""
        deltas = [delta for delta in stack.deltas if delta is not None]
        if not 0 < len(deltas) <= MAX_FUSED_MODELS or {stack.dtype, stack.base_dtype} != {"BF16"}:
            return False
        raws, all_bands, seed = [stack.base], [], tensor_seed(stack.name)
        for delta in deltas:
            bands = magnitude_bands(delta.treatment)
            if bands is None or bands[0].size > 2 or delta.pair.finetuned_dtype != "BF16":
                return False
            raws.append(delta.pair.finetuned)
            all_bands.append(bands)
        copied = self.loader.copies(*raws)
        step = RUN if copied else max(out.size, 1)
        for first in range(0, out.size, step):
            part = out[first : first + step]
            begin = start + first
            parts = [raw[begin : begin + part.size] for raw in raws]
            if copied:
                parts = [self.loader.near(place, raw) for place, raw in enumerate(parts)]
            else:
                self.loader.note(sum(raw.nbytes for raw in parts))
            if not self.loader.kernels.fuse(parts[0], parts[1:], begin, seed, all_bands, part):
                return False
        return True

    def _add_deltas(self, stack: TensorStack, start: int, acc: Chunk) -> None:
        stop = start + acc.size
        widen(self.loader.kernels, stack.base[start:stop], stack.base_dtype, acc)
        with np.errstate(all="ignore"):  # non-finite values are found and named later
            for delta in filter(None, stack.deltas):
                base, tuned = self.loader.chunk(delta.pair, start, stop)
                delta.treatment.add(self.loader.kernels, acc, base, tuned, start)


def add_treated(
    loader: Loader, stack: TensorStack, delta: TensorDelta, start: int, out: Float32[ndarray, " n"]
) -> None:
    """Add one model's treated delta from the flat index `start` on, until `out` is full.

    Raises:
        NonFiniteWeights: NaN or infinity on either side, or a delta too large for float32.
    """
    for first in range(0, out.size, CHUNK):
        acc, place = out[first : first + CHUNK], start + first
        old, new = loader.chunk(delta.pair, place, place + acc.size)
        with np.errstate(all="ignore"):  # non-finite values are found and named just below
            delta.treatment.add(loader.kernels, acc, old, new, place)
        largest = loader.kernels.largest(acc)
        if not largest < np.inf:
            raise_overflow(stack, largest)


def round_into(
    kernels: Kernels, stack: TensorStack, merged: Float32[ndarray, " n"], out: Raw
) -> None:
    """Write merged weights in their dtype, rounded to nearest even.

    Raises:
        NonFiniteWeights: the dtype cannot hold one; names the tensor, and the model where one is
            not finite itself.
    """
    largest = kernels.largest(merged)
    if not largest < LIMITS[stack.dtype]:
        raise_overflow(stack, largest)
    if stack.dtype == "BF16":
        kernels.narrow(merged, out)
    else:
        np.copyto(out, merged, casting="same_kind")


def check_stack(stack: TensorStack) -> None:
    """Raise NonFiniteWeights if a weight of the base or of a model is NaN or infinite."""
    check_finite(stack.base, stack.base_dtype, stack.name, "the base")
    for delta in filter(None, stack.deltas):
        check_finite(delta.pair.finetuned, delta.pair.finetuned_dtype, stack.name, delta.model)


def raise_overflow(stack: TensorStack, largest: float) -> None:
    """Raise the NonFiniteWeights that says what made a merged tensor reach `largest`."""
    check_stack(stack)
    raise NonFiniteWeights(
        f"{stack.name}: the merged weights reach {largest:g}, {stack.dtype} holds less than "
        f"{LIMITS[stack.dtype]:g}. Large factors or coefficients are the usual cause; "
        "dtype float32 or bfloat16 has room up to 3e38."
    )
