"""Levels, nested partitions, and the elements that a level keeps.

An element is inside a level iff |d| > threshold, or |d| equals the threshold and its hash is below
the tie cut. An element with d = 0 is never inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from dppa_core.errors import InvalidValue, shown
from dppa_core.parameter_fields import check_number, is_number
from dppa_core.pruning.delta_profile import OPEN_BITS, ModuleProfile


@dataclass(frozen=True, slots=True)
class Selection:
    """The threshold of one level of one module, as far as the profile determines it."""

    low: float
    """The smallest |d| of the threshold's bin."""
    high: float
    """The smallest |d| above that bin; the next float32 if the bin holds one magnitude."""
    above: int
    """Elements with |d| >= high, certainly inside the level."""
    within: int
    """Elements with low <= |d| < high, partly inside it."""
    rank: int
    """Place of the threshold among all |d| in ascending order."""
    threshold: float
    """|d| at that place; an estimate if the bin is open."""
    kept: int
    """Elements to keep; an estimate with `ties: prune` and an open bin."""
    energy: float
    """Retained sum of d²; proportional inside the bin."""
    ties: str

    @property
    def open(self) -> bool:
        """True if the bin may hold more than one magnitude."""
        return float(np.nextafter(np.float32(self.low), np.float32(np.inf))) != self.high

    @property
    def share(self) -> int:
        """Number of elements within the bin to keep."""
        return self.kept - self.above


class Levels(tuple[float, ...]):
    """Checked pruning rates of the partitions: strictly falling, each in [0, 1)."""

    __slots__ = ()


def check_levels(levels: object) -> Levels:
    """Pruning rates as `Levels`; those that are checked already are returned as they are.

    Raises:
        InvalidValue: names the level and the rule it breaks.
    """
    if isinstance(levels, Levels):
        return levels
    if not isinstance(levels, (list, tuple)) or not levels:
        raise InvalidValue(
            f"levels must be a list of pruning rates such as [0.9, 0.8], got {shown(levels)}."
        )
    for level in levels:
        if not is_number(level) or not 0 <= float(level) < 1:
            raise InvalidValue(
                f"A pruning rate must be a number in [0, 1), got {shown(level)}. It is the share "
                "dropped: 0.8 drops 80 %; a percentage instead of a share is the usual cause."
            )
    rates = Levels(float(level) + 0.0 for level in levels)  # -0.0 is 0.0
    if any(later >= earlier for earlier, later in zip(rates, rates[1:], strict=False)):
        raise InvalidValue(
            f"levels must fall strictly, got {shown(list(rates))}. The first keeps the fewest "
            "elements, the last is the overall pruning rate: [0.9, 0.8]."
        )
    return rates


def even_levels(rate: float, partitions: int = 2) -> Levels:
    """Levels that split the kept share evenly: (0.9, 0.8) for rate 0.8 in two partitions."""
    last = check_levels([rate])[0]
    parts = int(check_number("partitions", partitions, 1.0, 100.0))
    inner = (round(1 - (1 - last) * k / parts, 12) for k in range(1, parts))
    return check_levels([*inner, last])


def select(profile: ModuleProfile, density: float, ties: str = "exact") -> Selection:
    """Step 6 on a profile: find the threshold for a density in [0, 1].

    The threshold is the element of the sorted |d| at index `int(numel * (1 - density))`. With
    `ties: exact`, `round(numel * density)` elements are kept, but never one with d = 0.
    """
    return select_all((profile,), np.full((1, 1), density), ties)[0][0]


def select_all(
    profiles: Sequence[ModuleProfile], density: Float64[ndarray, "K N"], ties: str = "exact"
) -> list[tuple[Selection, ...]]:
    """As `select`, K levels of each of N modules at once."""
    columns = (field.T.ravel().tolist() for field in borders_at(profiles, density, ties))
    selections, levels = list(map(Selection, *columns, repeat(ties))), len(density)
    return [tuple(selections[n : n + levels]) for n in range(0, len(selections), levels)]


class Borders(NamedTuple):
    """The fields of `Selection` but `ties`, for K densities of each of N modules."""

    low: Float64[ndarray, "K N"]
    high: Float64[ndarray, "K N"]
    above: Int64[ndarray, "K N"]
    within: Int64[ndarray, "K N"]
    rank: Int64[ndarray, "K N"]
    threshold: Float64[ndarray, "K N"]
    kept: Int64[ndarray, "K N"]
    energy: Float64[ndarray, "K N"]


def borders_at(
    profiles: Sequence[ModuleProfile], density: Float64[ndarray, "K N"], ties: str = "exact"
) -> Borders:
    """The borders of the elements that modules keep at some densities; see `select`."""
    numel = np.array([item.numel for item in profiles], np.int64)
    rank = np.minimum((numel * (1 - density)).astype(np.int64), numel - 1)
    low, high, opened, below, count, square, beyond = _bins_at(profiles, rank)
    above = numel - below - count
    place = (rank - below + 0.5) / count
    threshold = np.where(opened, low + place * (high - low), low)
    if ties == "exact":
        nonzero = np.array([item.nonzero for item in profiles], np.int64)
        kept = np.minimum(np.rint(numel * density).astype(np.int64), nonzero)
    else:
        kept = np.where(opened, np.maximum(above, numel - rank - 1), above)
    energy = np.maximum(beyond + (kept - above) / count * square, 0.0)
    return Borders(low, high, above, count, rank, threshold, kept, energy)


def _bins_at(profiles: Sequence[ModuleProfile], rank: Int64[ndarray, "K N"]) -> Any:
    """For the bins at places of the ascending |d|, each (K, N): edges as float64; whether the bin
    is open; elements below and in it; sums of d² in and above it."""
    shape = rank.shape
    low, excess = np.empty(shape, np.float32), np.empty(shape, np.float32)
    below, count = np.empty(shape, np.int64), np.empty(shape, np.int64)
    scored, beyond = np.full(shape, np.nan), np.empty(shape)
    for n, item in enumerate(profiles):
        index = item.below.searchsorted(rank[:, n], side="right") - 1
        low[:, n], excess[:, n] = item.magnitudes[index], item.excess[index]
        below[:, n], count[:, n] = item.below[index], item.counts[index]
        beyond[:, n] = item.energy_from[index + 1]
        if item.delta_squares is not None:
            scored[:, n] = item.delta_squares[index]
    bits, opened = low.view(np.uint32), excess > 0
    top = np.where(opened, (bits >> OPEN_BITS) + 1 << OPEN_BITS, bits + 1).astype(np.uint32)
    mean = low.astype(np.float64) + excess * np.spacing(low).astype(np.float64)
    square = np.where(np.isnan(scored), mean * mean * count, scored)
    edges = low.astype(np.float64), top.view(np.float32).astype(np.float64)
    return *edges, opened, below, count, square, beyond


def refine(selection: Selection, numel: int, counts: Int64[ndarray, " low"]) -> Selection:
    """Narrow an open bin to the single magnitude of the threshold.

    Args:
        counts: Elements of that bin, by the last `OPEN_BITS` of their |d|.
    """
    place = selection.rank - (numel - selection.above - selection.within)
    upto = np.cumsum(counts)
    last = int(np.searchsorted(upto, place, side="right"))
    low = int(np.float32(selection.low).view(np.uint32))
    bits = low >> OPEN_BITS << OPEN_BITS | last
    threshold = np.asarray(bits, np.uint32).view(np.float32)[()]
    above = selection.above + selection.within - int(upto[last])
    return replace(
        selection,
        low=float(threshold),
        high=float(np.nextafter(threshold, np.float32(np.inf))),
        threshold=float(threshold),
        above=above,
        within=int(counts[last]),
        kept=selection.kept if selection.ties == "exact" else above,
    )
