"""The inner loops in plain torch: slow, short, and the measure of the fast ones.

Knows arrays of one chunk only. Unsigned 64-bit arithmetic is done in int64, which wraps alike.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt16, UInt64
from numpy import ndarray
from torch import Tensor

from dppa_core.partition import MULTIPLIERS


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _shift(values: Tensor, places: int) -> Tensor:
    """Logical shift to the right of the bits of int64."""
    return (values >> places) & ((1 << (64 - places)) - 1)


def _mix(start: int, count: int, seed: int) -> Tensor:
    z = torch.arange(count, dtype=torch.int64) + _signed((start + seed) % (1 << 64))
    z = (z ^ _shift(z, 30)) * _signed(MULTIPLIERS[0])
    z = (z ^ _shift(z, 27)) * _signed(MULTIPLIERS[1])
    return z ^ _shift(z, 31)


def _before(hashes: Tensor, cut: int) -> Tensor:
    """hashes < cut, both unsigned: flipping the top bit turns that order into the signed one."""
    top = -(1 << 63)
    return (hashes ^ top) < _signed(cut ^ (1 << 63))


def _add(acc: Float32[ndarray, " n"], delta: Tensor, weight: Tensor) -> None:
    total = torch.from_numpy(acc)
    term = weight * delta
    total.copy_(torch.where(term != 0, total + term, total))


def _delta(base: Float32[ndarray, " n"], tuned: Float32[ndarray, " n"]) -> Tensor:
    return torch.from_numpy(tuned) - torch.from_numpy(base)


def widen(raw: UInt16[ndarray, " n"], out: Float32[ndarray, " n"]) -> None:
    """See `Kernels.widen`."""
    signed = torch.from_numpy(raw.view(np.int16).copy())
    torch.from_numpy(out).copy_(signed.view(torch.bfloat16))


def narrow(values: Float32[ndarray, " n"], out: UInt16[ndarray, " n"]) -> None:
    """See `Kernels.narrow`."""
    rounded = torch.from_numpy(values).to(torch.bfloat16)
    torch.from_numpy(out.view(np.int16)).copy_(rounded.view(torch.int16))


def add_whole(
    acc: Float32[ndarray, " n"],
    base: Float32[ndarray, " n"],
    tuned: Float32[ndarray, " n"],
    weight: float,
) -> None:
    """See `Kernels.add_whole`."""
    _add(acc, _delta(base, tuned), torch.tensor(weight, dtype=torch.float32))


def add_bands(
    acc: Float32[ndarray, " n"],
    base: Float32[ndarray, " n"],
    tuned: Float32[ndarray, " n"],
    start: int,
    seed: int,
    thresholds: Float32[ndarray, " K"],
    cuts: UInt64[ndarray, " K"],
    weights: Float32[ndarray, " K"],
) -> None:
    """See `Kernels.add_bands`."""
    delta = _delta(base, tuned)
    size, hashes = delta.abs(), _mix(start, delta.numel(), seed)
    weight = torch.zeros_like(delta)
    for level in range(thresholds.size - 1, -1, -1):
        threshold = torch.tensor(thresholds[level])
        tied = (size == threshold) & _before(hashes, int(cuts[level]))
        weight[(size > threshold) | tied] = float(weights[level])
    _add(acc, delta, weight)


def add_random(
    acc: Float32[ndarray, " n"],
    base: Float32[ndarray, " n"],
    tuned: Float32[ndarray, " n"],
    start: int,
    seed: int,
    cut: int,
    weight: float,
) -> None:
    """See `Kernels.add_random`."""
    delta = _delta(base, tuned)
    kept = _before(_mix(start, delta.numel(), seed), cut)
    _add(acc, delta, kept.float() * torch.tensor(weight, dtype=torch.float32))


def gather(
    base: Float32[ndarray, " n"],
    tuned: Float32[ndarray, " n"],
    start: int,
    seed: int,
    low: float,
    high: float,
    magnitudes: Float32[ndarray, " m"],
    hashes: UInt64[ndarray, " m"],
    found: int,
) -> int:
    """See `Kernels.gather`."""
    size = _delta(base, tuned).abs()
    inside = (size >= low) & (size < high)
    count = min(int(inside.sum()), magnitudes.size - found)
    chosen = _mix(start, size.numel(), seed)[inside].numpy().view(np.uint64)
    magnitudes[found : found + count] = size[inside].numpy()[:count]
    hashes[found : found + count] = chosen[:count]
    return found + count


def histogram(
    base: Float32[ndarray, " n"],
    tuned: Float32[ndarray, " n"],
    counts: Int64[ndarray, " bins"],
    sums: Float64[ndarray, " bins"],
    squares: Float64[ndarray, " bins"],
) -> None:
    """See `Kernels.histogram`."""
    size = _delta(base, tuned).abs()
    keys = (size.view(torch.int32) >> 16).long()
    wide = size.double()
    torch.from_numpy(counts).index_add_(0, keys, torch.ones_like(keys))
    torch.from_numpy(sums).index_add_(0, keys, wide)
    torch.from_numpy(squares).index_add_(0, keys, wide * wide)
