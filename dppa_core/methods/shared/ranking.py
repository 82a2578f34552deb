"""Finds the largest elements of one or many tensors, exactly as many as requested.

Memory holds only some rows, counters, and a few hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray

from dppa_core.methods.shared import numpy_loops as plain
from dppa_core.methods.shared.stack import Rows, Stack, Streamed
from dppa_core.pruning.tie_breaking import Cut, hash_window, tensor_seed

Values: TypeAlias = Callable[[Stack], Float32[ndarray, "M rows columns"]]
"""Computes the values that are ranked by magnitude, several for every element."""
_GROUP = 1 << 8
_DEVIATIONS = (6.0, 60.0, 1e12)  # the first misses once in 10**8 borders, the last never


def find_cuts(
    tensors: Sequence[Streamed], counts: Sequence[int], values: Values
) -> tuple[Cut, ...]:
    """The borders of the `counts[m]` largest `values[m]` over all tensors together.

    The fixed order of elements breaks ties, so that exactly `counts[m]` lie inside; a value of 0
    never does.

    Args:
        tensors: Read up to three times, and again for each window of hashes that misses.
    """
    numel = sum(tensor.numel for tensor in tensors)
    places = [min(numel - count, numel - 1) for count in counts]
    borders = _nth(tensors, values, places)
    takes = [
        max(count - (numel - border.below - border.equal), 0)
        for border, count in zip(borders, counts, strict=True)
    ]
    cuts = [_cut(border, take) for border, take in zip(borders, takes, strict=True)]
    for deviations in _DEVIATIONS:
        tied = [row for row, cut in enumerate(cuts) if cut is None]
        if tied:
            searched = [(row, borders[row], takes[row]) for row in tied]
            settled = _among_tied(tensors, values, searched, deviations)
            for row, cut in zip(tied, settled, strict=True):
                cuts[row] = cut
    return tuple(cut for cut in cuts if cut is not None)


def values_at(
    tensors: Sequence[Streamed], places: Sequence[int], values: Values
) -> tuple[float, ...]:
    """The element of `values[m]` at index `places[m]` of the ascending order over all tensors."""
    return tuple(_number(item.key) for item in _nth(tensors, values, places))


def inside(values: Rows, cut: Cut, stack: Stack) -> Bool[ndarray, "rows columns"]:
    """True for each element of a stack that lies inside a border."""
    return plain.inside(values, cut, stack.start, tensor_seed(stack.name))


@dataclass(frozen=True, slots=True)
class _Place:
    key: int
    """Bits of a float32."""
    below: int
    """Number of smaller magnitudes."""
    equal: int


def _nth(tensors: Sequence[Streamed], values: Values, places: Sequence[int]) -> tuple[_Place, ...]:
    """The magnitudes at some places of the ascending order, without sorting.

    Counts the first 16 bits, then the last 16 if they are not all 0.
    """
    counts = np.zeros((len(places), 1 << 17), np.int64)
    for stack in _stacks(tensors):
        for row, part in enumerate(values(stack)):
            stack.loops.count_magnitudes(part, counts[row])
    words = [_next(row, place, 0) for row, place in zip(counts, places, strict=True)]
    mixed = [row for row, item in enumerate(words) if item.key & 1]
    lows = {row: np.zeros(1 << 16, np.int64) for row in mixed}
    for stack in _stacks(tensors) if mixed else ():
        ranked = values(stack)
        for row in mixed:
            stack.loops.count_within(ranked[row], words[row].key >> 1, lows[row])
    magnitudes = []
    for row, (item, place) in enumerate(zip(words, places, strict=True)):
        high = item.key >> 1 << 16
        if row in lows:
            lows[row][0] = 0  # in the word before
            last = _next(lows[row], place, item.below)
            magnitudes.append(_Place(high | last.key, last.below, last.equal))
        else:
            magnitudes.append(_Place(high, item.below, item.equal))
    return tuple(magnitudes)


def _next(counts: Int64[ndarray, " n"], place: int, below: int) -> _Place:
    groups = counts.reshape(-1, _GROUP)
    group, below = _reach(groups.sum(axis=1), place, below)
    member, below = _reach(groups[group], place, below)
    return _Place(group * _GROUP + member, below, int(groups[group, member]))


def _reach(counts: Int64[ndarray, " n"], place: int, below: int) -> tuple[int, int]:
    """The entry that contains `place`, and the number of elements before it."""
    upto = np.cumsum(counts)
    key = int(np.searchsorted(upto, place - below, side="right"))
    return key, below + int(upto[key] - counts[key])


def _cut(item: _Place, take: int) -> Cut | None:
    """The border if magnitudes alone decide it; None if ties must be broken."""
    if item.key == 0 or take == 0:
        return Cut(_number(item.key), 0)
    if take == item.equal:
        return Cut(_number(item.key - 1), 0)
    return None


def _number(key: int) -> float:
    return float(np.uint32(key).view(np.float32))


def _among_tied(
    tensors: Sequence[Streamed],
    values: Values,
    searched: Sequence[tuple[int, _Place, int]],
    deviations: float,
) -> Iterator[Cut | None]:
    """The border among equal magnitudes; None if the window of hashes misses it.

    `searched` holds the index of the values, their magnitude, and the number inside.
    """
    windows = [hash_window(item.equal, take, deviations) for _, item, take in searched]
    below, hashes = [0] * len(searched), [[np.empty(0, np.uint64)] for _ in searched]
    for stack in _stacks(tensors):
        ranked, seed = values(stack), tensor_seed(stack.name)
        for n, ((row, item, _), window) in enumerate(zip(searched, windows, strict=True)):
            at = _number(item.key), stack.start, seed, window
            count, within = stack.loops.gather_tied(ranked[row], *at)
            below[n] += count
            hashes[n].append(within)
    for (_, item, take), count, parts in zip(searched, below, hashes, strict=True):
        within, place = np.concatenate(parts), take - count
        missed = not 0 <= place < within.size
        last = None if missed else int(np.partition(within, place)[place])
        yield None if last is None else Cut(_number(item.key), last)


def _stacks(tensors: Sequence[Streamed]) -> Iterator[Stack]:
    for tensor in tensors:
        yield from tensor.stacks()


def ranks(size: Rows, stack: Stack) -> Int64[ndarray, "rows columns"]:
    """The rank of every element in its row, 0 the smallest; ties in the fixed order."""
    # lexsort sorts by its last key first; the fixed order is descending, as in `inside`.
    ascending = np.lexsort((~stack.order(), size), axis=1)
    places: Int64[ndarray, "rows columns"] = np.empty(size.shape, np.int64)
    np.put_along_axis(places, ascending, np.arange(size.shape[1])[None, :], axis=1)
    return places
