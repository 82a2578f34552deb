"""The weights in which a merge of one model differs from its base, coded for a pack."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import IO

import numpy as np

from dppa_core.checkpoints.adapters.pack_blocks import (
    BLOCK,
    PREFIX,
    BlockSize,
    Draw,
    Source,
    differing,
    encode_block,
    entry_head,
)
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.safetensors_writer import SafetensorsWriter, TensorSpec
from dppa_core.merging.differences.sink import DifferenceSink
from dppa_core.merging.passes.deltas import (
    BandedDelta,
    RandomDelta,
    Raw,
    TensorDelta,
    TensorStack,
    WholeDelta,
)
from dppa_core.progress import Stop, check


class PackedDifferences(DifferenceSink):
    """Codes the differences of every block as soon as it is merged.

    Args:
        spool: A temporary file, which takes the blocks until the sizes of all are known.
    """

    def __init__(self, base: Checkpoint, dtype: str, spool: IO[bytes], *, by_parts: bool) -> None:
        super().__init__(base, dtype, by_parts=by_parts)
        self.differing = 0
        """Weights that differ from the base."""
        self._spool, self._end, self._lock = spool.fileno(), 0, threading.Lock()
        self._blocks: dict[str, dict[int, tuple[int, BlockSize]]] = {n: {} for n in self.names}
        """Tensor -> number of a block -> its start in the temporary file, and its size."""
        self._deltas: dict[str, TensorDelta] = {}
        """Tensor that is being merged -> the model's part of it."""
        self._draws: dict[str, Draw] = {}
        """Tensor -> the draw of its places."""

    def keep(self, name: str, kept: tuple[int, ...], stack: TensorStack | None = None) -> None:
        """See `Sink`."""
        super().keep(name, kept, stack)
        delta = stack.deltas[0] if stack else None
        if delta is not None:
            self._deltas[name] = delta
            if isinstance(delta.treatment, RandomDelta):
                self._draws[name] = Draw(delta.treatment.seed, delta.treatment.cut)

    def compare(self, name: str, start: int, base: Raw, merged: Raw) -> None:
        """See `DifferenceSink`."""
        delta, draw = self._deltas.get(name), self._draws.get(name, Draw())
        for first in range(0, merged.size, BLOCK):
            at, place = slice(first, first + BLOCK), start + first
            source = _source(delta, place) if delta else None
            differs = differing(base[at], merged[at])
            weights = base[at], merged[at]
            code, size = encode_block(*weights, differs, self.dtype, place, draw, source)
            with self._lock:
                self._blocks[name][place // BLOCK] = self._end, size
                begin, self._end = self._end, self._end + len(code)
                self.differing += int(np.count_nonzero(differs))
                if len(self._blocks[name]) * BLOCK >= self.sizes[name]:
                    self._deltas.pop(name, None)  # it may hold a tensor that an adapter made
            while code:  # one call writes 2 GiB at most
                written = os.pwrite(self._spool, code, begin)
                code, begin = code[written:], begin + written

    def totals(self) -> BlockSize:
        """Bytes of all places, and of all values."""
        sizes = [size for blocks in self._blocks.values() for _, size in blocks.values()]
        return BlockSize(sum(s.places for s in sizes), sum(s.values for s in sizes))

    def write(self, path: Path, metadata: Mapping[str, str], stop: Stop | None) -> str:
        """Write the file once every block is coded; returns its SHA-256."""
        heads: dict[str, bytes] = {}
        specs = []
        for name, blocks in self._blocks.items():
            sizes = [blocks[index][1] for index in range(len(blocks))]
            nbytes = sum(size.places + size.values for size in sizes)
            if nbytes:
                heads[name] = entry_head(self._draws.get(name, Draw()), sizes)
                specs.append(TensorSpec(PREFIX + name, "U8", (len(heads[name]) + nbytes,)))
        with closing(SafetensorsWriter(path, specs, metadata)) as writer:
            for name, head in heads.items():
                check(stop)
                at = 0
                for piece in (head, *self._codes(name)):
                    writer.place(PREFIX + name, np.frombuffer(piece, np.uint8), at)
                    at += len(piece)
            return writer.finish()

    def _codes(self, name: str) -> Iterator[bytes]:
        """The codes of a tensor's blocks, in order."""
        for _, (start, size) in sorted(self._blocks[name].items()):
            yield os.pread(self._spool, size.places + size.values, start)


def _source(delta: TensorDelta, start: int) -> Source | None:
    """The model's weights in a block, and the weight of its delta; None if that is not one."""
    match delta.treatment:
        case RandomDelta(weight=weight) | WholeDelta(weight=weight):
            return Source(delta.pair.finetuned[start : start + BLOCK], weight)
        case BandedDelta(bands=(_, _, weights)) if np.unique(weights).size == 1:
            return Source(delta.pair.finetuned[start : start + BLOCK], float(weights[0]))
    return None
