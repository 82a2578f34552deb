"""The largest elements of one tensor or of many, exactly as many as asked.

Knows streamed tensors. Never holds more than some rows and a few counters: an element's rank is
found digit by digit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt64
from numpy import ndarray

from dppa_core.methods.stack import Rows, Stack, Streamed
from dppa_core.partition import Cut

Values: TypeAlias = Callable[[Stack], Float32[ndarray, "M rows columns"]]
"""What is ranked: non-negative numbers, several of them for every element."""
_DIGIT = 16


def find_cuts(
    tensors: Sequence[Streamed], counts: Sequence[int], values: Values
) -> tuple[Cut, ...]:
    """The borders of the `counts[m]` largest `values[m]` over all tensors together.

    Equal values are told apart by the fixed order of their elements, so that exactly as many lie
    inside as asked; but never a value of 0.

    Args:
        tensors: Read once for each 16 bits that must be known, at most six times.
        counts: How many elements are to lie inside, one number for each of the values.
        values: Stack -> what is ranked.
    """
    numel = sum(tensor.numel for tensor in tensors)
    places = [min(numel - count, numel - 1) for count in counts]
    found = _nth(lambda: _bits(tensors, values), 32, places)
    takes = [
        max(count - (numel - item.below - item.equal), 0)
        for item, count in zip(found, counts, strict=True)
    ]
    cuts = [_cut(item, take) for item, take in zip(found, takes, strict=True)]
    tied = [index for index, cut in enumerate(cuts) if cut is None]
    if tied:
        keys = [found[index].key for index in tied]
        wanted = [takes[index] for index in tied]
        hashes = _nth(lambda: _tied(tensors, values, tied, keys), 64, wanted)
        for index, item in zip(tied, hashes, strict=True):
            cuts[index] = Cut(_number(found[index].key), item.key)
    return tuple(cut for cut in cuts if cut is not None)


def values_at(
    tensors: Sequence[Streamed], places: Sequence[int], values: Values
) -> tuple[float, ...]:
    """The element of `values[m]` at index `places[m]` of the ascending order over all tensors."""
    found = _nth(lambda: _bits(tensors, values), 32, places)
    return tuple(_number(item.key) for item in found)


def inside(values: Rows, cut: Cut, stack: Stack) -> Bool[ndarray, "rows columns"]:
    """Which elements of a stack lie inside a border."""
    threshold = np.float32(cut.threshold)
    within: Bool[ndarray, "rows columns"] = values > threshold
    if cut.tie_cut:
        equal = values == threshold
        if equal.any():
            within |= equal & (stack.order() < np.uint64(cut.tie_cut))
    return within


@dataclass(frozen=True, slots=True)
class _Found:
    key: int
    below: int
    """Keys that are smaller."""
    equal: int


def _nth(keys: Callable[[], Iterable[Sequence[Any]]], bits: int, places: Sequence[int]) -> Any:
    """The keys at some places of an ascending order, without sorting: the leading digit first."""
    found = [_Found(0, 0, 0) for _ in places]
    for shift in range(bits - _DIGIT, -1, -_DIGIT):
        counts = np.zeros((len(places), 1 << _DIGIT), np.int64)
        for parts in keys():
            for row, part in enumerate(parts):
                high = part if shift + _DIGIT == bits else part[_shifted(part, shift, found[row])]
                digits = (high >> part.dtype.type(shift)) & part.dtype.type((1 << _DIGIT) - 1)
                counts[row] += np.bincount(digits.astype(np.intp), minlength=1 << _DIGIT)
        found = [
            _next(item, row, place) for item, row, place in zip(found, counts, places, strict=True)
        ]
    return found


def _shifted(part: Any, shift: int, item: _Found) -> Any:
    """Which keys share the digits found so far."""
    return (part >> part.dtype.type(shift + _DIGIT)) == part.dtype.type(item.key)


def _next(item: _Found, counts: Any, place: int) -> _Found:
    upto = np.cumsum(counts)
    digit = int(np.searchsorted(upto, place - item.below, side="right"))
    below = item.below + int(upto[digit] - counts[digit])
    return _Found((item.key << _DIGIT) | digit, below, int(counts[digit]))


def _cut(item: _Found, take: int) -> Cut | None:
    """The border where the magnitudes alone decide it; None where equal ones must be told apart."""
    if item.key == 0 or take == 0:
        return Cut(_number(item.key), 0)
    if take == item.equal:
        return Cut(_number(item.key - 1), 0)
    return None


def _number(key: int) -> float:
    return float(np.uint32(key).view(np.float32))


def _bits(tensors: Sequence[Streamed], values: Values) -> Iterable[Sequence[Any]]:
    for tensor in tensors:
        for stack in tensor.stacks():
            yield [item.ravel().view(np.uint32) for item in values(stack)]


def _tied(
    tensors: Sequence[Streamed], values: Values, rows: Sequence[int], keys: Sequence[int]
) -> Iterable[Sequence[UInt64[ndarray, " n"]]]:
    for tensor in tensors:
        for stack in tensor.stacks():
            ranked = values(stack)
            order = stack.order()
            yield [
                order[ranked[row].view(np.uint32) == np.uint32(key)]
                for row, key in zip(rows, keys, strict=True)
            ]


def ranks(size: Rows, stack: Stack) -> Int64[ndarray, "rows columns"]:
    """The rank of every element in its row, 0 the smallest; equal ones in their fixed order."""
    # lexsort sorts by its last key first; the fixed order falls, as it does in `inside`.
    ascending = np.lexsort((~stack.order(), size), axis=1)
    found: Int64[ndarray, "rows columns"] = np.empty(size.shape, np.int64)
    np.put_along_axis(found, ascending, np.arange(size.shape[1])[None, :], axis=1)
    return found
