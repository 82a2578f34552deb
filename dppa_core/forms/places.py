"""The places of kept elements among the elements of a tensor, in few bytes.

As a bitmap, or as gaps: the numbers of elements passed over before each kept one, or before each
that is not kept if those are fewer. A gap is its low bits, which are as good as random, and the
rest, which is a byte of 255 for every 255 and a smaller one. docs/pack-format.md describes it.
"""

from __future__ import annotations

import math
import struct
import zlib

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from dppa_core.errors import DamagedCheckpoint
from dppa_core.forms.compression import DAMAGE, compress, decompress
from dppa_core.pruning.tie_breaking import mix

BITMAP, INVERTED = 255, 64
"""Kind of a bitmap; added to the kind of gaps if they are those of elements that are not kept. The
kind of gaps is their number of low bits."""
_HEAD = struct.Struct("<BQ")
_ESCAPE = 255
_CHECKSUM_BYTES = 4
_FRAME_BYTES = 60
"""Of a code beside its content, and of the table of its bytes."""
_AT_ONCE = 1 << 16
"""Elements that are drawn at once, in a core's cache."""
_USUAL_BITS = 4
"""Bits of the mean gap without its low bits: a byte holds nearly all of them."""

Mask = Bool[ndarray, " n"]


def encode_places(kept: Mask) -> bytes:
    """The shorter of both codes; `decode_places` reads it."""
    total = int(np.count_nonzero(kept))
    bits = np.packbits(kept, bitorder="little").tobytes()
    bitmap = _HEAD.pack(BITMAP, total) + compress(bits)
    inverted = 2 * total > kept.size
    at = np.flatnonzero(~kept if inverted else kept)
    if 4 * at.size > kept.size:  # gaps are never shorter
        return bitmap
    shift = max((kept.size // max(at.size, 1)).bit_length() - _USUAL_BITS, 0)
    head = _HEAD.pack(shift + INVERTED * inverted, total)
    gaps = head + _pack_gaps(np.diff(at, prepend=-1) - 1, shift)
    return min(bitmap, gaps, key=len)


def expected_bytes(kept: int, numel: int) -> int:
    """Bytes of so many random places: a little more than their entropy."""
    if not 0 < kept < numel:
        return _FRAME_BYTES
    share = kept / numel
    bits = -share * math.log2(share) - (1 - share) * math.log2(1 - share)
    return round(1.02 * bits * numel / 8) + _FRAME_BYTES


def kept_count(code: bytes, subject: str) -> int:
    """The number of kept elements that a code states.

    Raises:
        DamagedCheckpoint: it is too short.
    """
    if len(code) < _HEAD.size:
        raise DamagedCheckpoint(f"{subject}: the places have {len(code)} bytes. {DAMAGE}")
    return int(_HEAD.unpack_from(code)[1])


def decode_places(code: bytes, numel: int, subject: str) -> Mask:
    """The mask that `encode_places` wrote.

    Args:
        numel: Elements of the mask.
        subject: The tensor and its file, for messages.

    Raises:
        DamagedCheckpoint: not the places of so many elements.
    """
    total, kind, rest = kept_count(code, subject), code[0], memoryview(code)[_HEAD.size :]
    if kind == BITMAP:
        bits = np.frombuffer(decompress(rest, (numel + 7) // 8, subject), np.uint8)
        _check(bits.size == (numel + 7) // 8, subject)
        mask = np.unpackbits(bits, bitorder="little").view(np.bool_)
        _check(not mask[numel:].any(), subject)
        mask = mask[:numel]
    else:
        inverted, shift = divmod(kind, INVERTED)
        _check(inverted < 2 and shift < INVERTED // 2 and total <= numel, subject)
        gaps = _read_gaps(rest, numel - total if inverted else total, shift, numel, subject)
        at = np.cumsum(gaps + 1) - 1
        _check(at.size == 0 or int(at[-1]) < numel, subject)
        mask = np.full(numel, bool(inverted))
        mask[at] = not inverted
    _check(int(np.count_nonzero(mask)) == total, subject)
    return mask


def drawn_places(start: int, stop: int, seed: int, cut: int) -> Mask:
    """The elements of a tensor from `start` to `stop` that a random draw keeps.

    Args:
        seed, cut: See `drop_seed` and `drop_cut`; docs/pack-format.md gives the rule.
    """
    mask = np.zeros(stop - start, np.bool_)
    for first in range(start, stop if cut else start, _AT_ONCE):
        last = min(first + _AT_ONCE, stop)
        draws = mix(np.arange(first, last, dtype=np.uint64), seed)
        np.less(draws, np.uint64(cut), out=mask[first - start : last - start])
    return mask


def _pack_gaps(gaps: Int64[ndarray, " k"], shift: int) -> bytes:
    """Low bits of all gaps and their checksum, then a frame with the rest of each."""
    low = (gaps[:, None] >> np.arange(shift) & 1).astype(np.uint8)
    escapes, last = np.divmod(gaps >> shift, _ESCAPE)
    symbols = np.full(gaps.size + int(escapes.sum()), _ESCAPE, np.uint8)
    symbols[np.cumsum(escapes) + np.arange(gaps.size)] = last
    bits = np.packbits(low, bitorder="little").tobytes()
    return bits + _checksum(bits) + compress(symbols.tobytes())


def _checksum(bits: bytes | memoryview) -> bytes:
    return zlib.crc32(bits).to_bytes(_CHECKSUM_BYTES, "little")


def _read_gaps(
    code: memoryview, count: int, shift: int, numel: int, subject: str
) -> Int64[ndarray, " k"]:
    width = (count * shift + 7) // 8
    end = width + _CHECKSUM_BYTES
    _check(code[width:end] == _checksum(code[:width]), subject)
    most = count + (numel >> shift) // _ESCAPE
    symbols = np.frombuffer(decompress(code[end:], most, subject), np.uint8)
    ends = np.flatnonzero(symbols != _ESCAPE)
    steps = np.diff(np.cumsum(symbols, dtype=np.int64)[ends], prepend=0)
    sound = ends.size == count and symbols[-1:].tobytes() != bytes([_ESCAPE])
    _check(sound and bool((steps <= numel >> shift).all()), subject)
    bits = np.unpackbits(np.frombuffer(code[:width], np.uint8), bitorder="little")
    low = bits[: count * shift].reshape(count, shift).astype(np.int64) << np.arange(shift)
    return np.asarray((steps << shift) + low.sum(axis=1))


def _check(sound: bool, subject: str) -> None:
    if not sound:
        raise DamagedCheckpoint(f"{subject}: its places contradict each other. {DAMAGE}")
