"""The inner loops of `Kernels` in plain torch: the slow, short reference of the fast ones.

Unsigned 64-bit arithmetic uses int64, which wraps equally. Arrays are in main memory; computation
runs on torch's current device.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64, Int64, Shaped
from numpy import ndarray
from torch import Tensor

from dppa_core.kernels.protocol import Bands, Drained, Raw, Stored, Tally, Tied, Values, Windows
from dppa_core.methods.shared import numpy_loops as plain
from dppa_core.methods.shared.python_loops import Loops
from dppa_core.pruning.delta_profile import OPEN_BITS
from dppa_core.pruning.tie_breaking import MULTIPLIERS

stacked: Loops = plain
_SMALLEST = float(np.finfo(np.float32).tiny)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _shift(values: Tensor, places: int) -> Tensor:
    """Logical right shift of int64."""
    return (values >> places) & ((1 << (64 - places)) - 1)


def _mix(start: int, count: int, seed: int) -> Tensor:
    z = torch.arange(count, dtype=torch.int64) + _signed((start + seed) % (1 << 64))
    z = (z ^ _shift(z, 30)) * _signed(MULTIPLIERS[0])
    z = (z ^ _shift(z, 27)) * _signed(MULTIPLIERS[1])
    return z ^ _shift(z, 31)


def _before(hashes: Tensor, cut: int) -> Tensor:
    """hashes < cut, unsigned: flipping the top bit turns the signed order into it."""
    top = -(1 << 63)
    return (hashes ^ top) < _signed(cut ^ (1 << 63))


def _values(raw: Stored) -> Tensor:
    if raw.dtype == np.uint16:
        return _to_device(raw.view(np.int16).copy()).view(torch.bfloat16).float()
    return _to_device(raw if raw.flags.writeable else raw.copy())


def _to_device(array: Shaped[ndarray, " n"]) -> Tensor:
    """The array on torch's current device."""
    return torch.from_numpy(array).to(torch.get_default_device())


def _delta(base: Stored, tuned: Stored) -> Tensor:
    return _values(tuned) - _values(base)


def _add(acc: Values, delta: Tensor, weight: Tensor) -> None:
    total, term = _to_device(acc), weight * delta
    torch.from_numpy(acc).copy_(torch.where(term != 0, total + term, total))


def widen(raw: Raw, out: Values) -> None:
    torch.from_numpy(out).copy_(_values(raw))


def narrow(values: Values, out: Raw) -> None:
    rounded = _to_device(values).to(torch.bfloat16)
    torch.from_numpy(out.view(np.int16)).copy_(rounded.view(torch.int16))


def largest(values: Values) -> float:
    return float(_to_device(values).abs().max())


def add_whole(acc: Values, base: Stored, tuned: Stored, weight: float) -> None:
    _add(acc, _delta(base, tuned), torch.tensor(weight, dtype=torch.float32))


def add_bands(
    acc: Values, base: Stored, tuned: Stored, start: int, seed: int, bands: Bands
) -> None:
    delta = _delta(base, tuned)
    _add_inside(acc, delta, delta.abs(), (start, seed), bands)


def _add_inside(
    acc: Values, delta: Tensor, size: Tensor, place: tuple[int, int], bands: Bands
) -> None:
    hashes, weight = _mix(place[0], delta.numel(), place[1]), torch.zeros_like(delta)
    thresholds, cuts, weights = bands
    for band in range(thresholds.size - 1, -1, -1):
        threshold = torch.tensor(thresholds[band])
        tied = (size == threshold) & _before(hashes, int(cuts[band]))
        inside = (size > threshold) | tied
        weight = torch.where(inside, torch.tensor(weights[band]), weight)
    _add(acc, delta, weight)


def fuse(
    base: Raw, tuned: Sequence[Raw], start: int, seed: int, bands: Sequence[Bands], out: Raw
) -> bool:
    total = np.empty(base.size, np.float32)
    widen(base, total)
    for raw, model_bands in zip(tuned, bands, strict=True):
        add_bands(total, base, raw, start, seed, model_bands)
    narrow(total, out)
    return bool((out & 0x7FFF).max(initial=0) < 0x7F80)


def add_random(
    acc: Values, base: Stored, tuned: Stored, start: int, seed: int, cut: int, weight: float
) -> None:
    delta = _delta(base, tuned)
    kept = _before(_mix(start, delta.numel(), seed), cut)
    _add(acc, delta, kept.float() * torch.tensor(weight, dtype=torch.float32))


def score(base: Stored, tuned: Stored, weights: Values, out: Values) -> None:
    delta = _delta(base, tuned)
    scores = _values(weights) * delta.abs()
    scores = torch.where(scores < _SMALLEST, torch.tensor(_SMALLEST), scores)
    torch.from_numpy(out).copy_(torch.where(delta == 0, torch.tensor(0.0), scores))


def score_random(base: Stored, tuned: Stored, start: int, seed: int, out: Values) -> None:
    size = _delta(base, tuned).abs()
    scores = (_shift(_mix(start, size.numel(), seed), 40) + 1).float() * 2.0**-24
    torch.from_numpy(out).copy_(torch.where((size > 0) & (size < torch.inf), scores, size))


def add_ranked(
    acc: Values, base: Stored, tuned: Stored, scores: Values, start: int, seed: int, bands: Bands
) -> None:
    _add_inside(acc, _delta(base, tuned), _values(scores), (start, seed), bands)


def sum_by_bin(
    base: Stored, tuned: Stored, scores: Values, sums: Float64[ndarray, "bins two"]
) -> None:
    index, _ = _words(np.zeros_like(scores), scores)
    size = _delta(base, tuned).abs().double()
    torch.from_numpy(sums).index_add_(0, index.cpu(), torch.stack([size, size * size], 1).cpu())


def histogram(base: Stored, tuned: Stored, tally: Tally) -> None:
    index, low = _words(base, tuned)
    torch.from_numpy(tally.words.view(np.int64)).index_add_(0, index.cpu(), low.cpu() + (1 << 40))


def drain(tally: Tally) -> Drained:
    live = np.flatnonzero(tally.words)
    words = tally.words[live]
    tally.words[live] = 0
    counts, places = words >> np.uint64(40), words & np.uint64((1 << 40) - 1)
    return Drained(live, counts.astype(np.int64), places.astype(np.int64))


def sum_squares(raw: Stored, lanes: Float64[ndarray, " L"]) -> None:
    for row in torch.split(_values(raw).double(), lanes.size):
        torch.from_numpy(lanes)[: row.numel()] += (row * row).cpu()


def split_bin(base: Stored, tuned: Stored, key: int, counts: Int64[ndarray, " low"]) -> None:
    bits = _bits(base, tuned)
    low = (bits[bits >> OPEN_BITS == key] & ((1 << OPEN_BITS) - 1)).cpu()
    torch.from_numpy(counts).index_add_(0, low, torch.ones_like(low))


def _words(base: Stored, tuned: Stored) -> tuple[Tensor, Tensor]:
    """Index of the word of |d|, and its place in the bin."""
    bits = _bits(base, tuned)
    low = bits & ((1 << OPEN_BITS) - 1)
    return 2 * (bits >> OPEN_BITS) + (low > 0), low


def _bits(base: Stored, tuned: Stored) -> Tensor:
    return _delta(base, tuned).abs().view(torch.int32).long()


def gather_tied(
    base: Stored, tuned: Stored, start: int, seed: int, windows: Windows, tied: Tied
) -> None:
    size = _delta(base, tuned).abs()
    mixed, (counts, hashes) = _mix(start, size.numel(), seed), tied
    for k, (threshold, low, high) in enumerate(zip(*windows, strict=True)):
        equal = mixed[size == torch.tensor(threshold)]
        below = _before(equal, int(low))
        within = equal[~below & ~_before(-1 - equal, -1 - int(high) + (1 << 64))]
        room = hashes[k, counts[k, 2] :]
        room[: within.numel()] = within.cpu().numpy().view(np.uint64)[: room.size]
        counts[k] += (equal.numel(), int(below.sum()), within.numel())
