"""The weights of a tensor that differ from the base, in blocks coded one by one: packs of today.

The entry `delta/NAME` of a pack begins with the draw of its places, if they were drawn at random;
then the sizes of all blocks, then the blocks. docs/pack-format.md describes it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.safetensors_reader import SafetensorsFile
from dppa_core.errors import DamagedCheckpoint, many
from dppa_core.forms.compression import DAMAGE
from dppa_core.forms.places import Mask, decode_places, drawn_places, encode_places
from dppa_core.forms.values import decode_values, encode_values
from dppa_core.pruning.floats import from_float32, to_float32

PREFIX = "delta/"
"""Of a tensor's name."""
BLOCK = 1 << 20
"""Elements of a block; the last one of a tensor may have fewer."""
_CHECKSUM, _DRAW, _SIZES = struct.Struct("<I"), struct.Struct("<QQ"), struct.Struct("<IIf")

Raw = Shaped[ndarray, " n"]
"""Weights as they are stored."""


class Draw(NamedTuple):
    """A random draw of places: those whose hash is below the cut; see `drawn_places`."""

    seed: int = 0
    cut: int = 0
    """0 if nothing is drawn."""


class BlockSize(NamedTuple):
    """What an entry says of a block before all blocks."""

    places: int = 0
    """Bytes that say which weights differ; 0 if all that do were drawn."""
    values: int = 0
    """Bytes that hold the weights at all these places; 0 if none differs."""
    weight: float = 0.0
    """Of the delta from the base to these values, which is added to the base; 0 if the values are
    the merged weights."""


class Source(NamedTuple):
    """The weights of a model whose delta, times a weight, may have been added to the base."""

    tuned: Raw
    weight: float


def differing(base: Raw, merged: Raw) -> Mask:
    """Mask of the elements of two tensors of one dtype whose bits differ: -0 is not 0."""
    bits = f"u{base.itemsize}"
    return np.asarray(np.not_equal(base.view(bits), merged.view(bits)))


def encode_block(
    base: Raw,
    merged: Raw,
    differs: Mask,
    dtype: str,
    start: int,
    draw: Draw,
    source: Source | None,
) -> tuple[bytes, BlockSize]:
    """The code of a block and its size; empty if no weight differs.

    Args:
        base, merged: Weights of the pack's dtype.
        differs: See `differing`.
        start: Element of the tensor at which the block begins.
        source: With a weight above 1, the model's own weights are closer to the base than the
            merged ones; they are stored if the merge follows from them bit for bit.
    """
    if not differs.any():
        return b"", BlockSize()
    drawn = drawn_places(start, start + base.size, *draw)
    beside = differs & ~drawn
    places = encode_places(beside) if beside.any() else b""
    kept, weight = differs | drawn, 0.0
    old, new = base[kept], merged[kept]
    if source is not None and abs(source.weight) > 1 and source.tuned.dtype == new.dtype:
        tuned = source.tuned[kept]
        if not differing(_added(old, tuned, source.weight, dtype), new).any():
            new, weight = tuned, source.weight
    values = encode_values(new, old)
    return places + values, BlockSize(len(places), len(values), weight)


def entry_head(draw: Draw, sizes: Sequence[BlockSize]) -> bytes:
    """The bytes of an entry before its blocks: a checksum of the rest of them, draw, sizes."""
    head = _DRAW.pack(*draw) + b"".join(_SIZES.pack(*size) for size in sizes)
    return _CHECKSUM.pack(zlib.crc32(head)) + head


class BlockEntries:
    """The entries of a pack of version 3.

    Raises:
        DamagedCheckpoint: an entry that no such pack holds.
    """

    def __init__(self, file: SafetensorsFile, dtype: str) -> None:
        self._file, self._dtype = file, dtype
        for entry, info in file.tensors.items():
            if not entry.startswith(PREFIX) or (info.dtype, len(info.shape)) != ("U8", 1):
                raise DamagedCheckpoint(
                    f"{file.path}: {entry} of dtype {info.dtype} and shape {info.shape}; a pack "
                    f"holds lists of U8, {PREFIX}NAME for each tensor. {DAMAGE}"
                )
        self.names = frozenset(entry.removeprefix(PREFIX) for entry in file.tensors)

    def check(self, name: str, shape: tuple[int, ...], numel: int) -> None:
        """Check that an entry has the size of its blocks, for a tensor of the base."""
        size = self._file.tensors[PREFIX + name].size
        _, sizes, needed = self._head(name, numel)
        needed += sum(block.places + block.values for block in sizes)
        if size != needed:
            raise DamagedCheckpoint(
                f"{self._file.path}: {name} of shape {shape} has {many(size, 'byte')}, its blocks "
                f"need {needed}. {DAMAGE}"
            )

    def put(self, name: str, out: Raw) -> None:
        """Write the weights that differ over those of the base, in the pack's dtype."""
        raw, subject = self._file.raw(PREFIX + name), f"{self._file.path}: {name}"
        draw, sizes, at = self._head(name, out.size)
        for index, size in enumerate(sizes):
            start, end = index * BLOCK, min((index + 1) * BLOCK, out.size)
            code = raw[at : at + size.places + size.values].tobytes()
            places, values = code[: size.places], code[size.places :]
            at += len(code)
            if not values:
                continue
            block, kept = out[start:end], drawn_places(start, end, *draw)
            if places:
                kept |= decode_places(places, block.size, subject)
            old = block[kept]
            new = decode_values(values, old, subject)
            block[kept] = _added(old, new, size.weight, self._dtype) if size.weight else new

    def _head(self, name: str, numel: int) -> tuple[Draw, list[BlockSize], int]:
        """The draw of a tensor's places, the sizes of its blocks, and where these begin."""
        raw, first = self._file.raw(PREFIX + name), _CHECKSUM.size + _DRAW.size
        end = first + _SIZES.size * -(-numel // BLOCK)
        text = raw[:end].tobytes()
        if len(text) < end or _CHECKSUM.unpack_from(text)[0] != zlib.crc32(text[_CHECKSUM.size :]):
            raise DamagedCheckpoint(
                f"{self._file.path}: {name} does not begin with the sizes of the blocks of "
                f"{many(numel, 'weight')}. {DAMAGE}"
            )
        draw = Draw(*_DRAW.unpack_from(text, _CHECKSUM.size))
        return draw, [BlockSize(*size) for size in _SIZES.iter_unpack(text[first:])], end


def _added(base: Raw, tuned: Raw, weight: float, dtype: str) -> Raw:
    """The base plus a weighted delta in float32, rounded to the nearest, as a merge does it."""
    old = to_float32(base, dtype)
    with np.errstate(all="ignore"):  # of damaged weights
        term = np.float32(weight) * (to_float32(tuned, dtype) - old)
        return from_float32(np.where(term != 0, old + term, old), dtype)
