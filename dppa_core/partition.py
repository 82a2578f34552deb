"""Levels, nested partitions, and which elements lie inside a level.

Knows profiles, not weights. An element is inside a level iff |d| > threshold, or |d| equals the
threshold and its place in a fixed pseudo-random order comes before the tie cut. An element with
d = 0 is never inside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt64
from numpy import ndarray

from dppa_core.deltas import ModuleProfile
from dppa_core.errors import InvalidValue
from dppa_core.parameters import check_number, is_number

MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""The two odd constants of the finaliser of splitmix64."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a profile says about one level of one module: where the threshold lies."""

    low: float
    """Lower edge of the bin the threshold lies in; the threshold itself in an exact profile."""
    high: float
    """Upper edge of that bin, not included: the next float32 in an exact profile."""
    above: int
    """Elements with |d| >= high, inside the level for certain."""
    within: int
    """Elements with low <= |d| < high, inside it in part."""
    rank: int
    """Place of the threshold among all |d| in ascending order."""
    kept: int
    """Elements to keep; with `ties: prune` and an inexact profile an estimate."""
    ties: str
    exact: bool
    energy: float
    """Retained sum of d²; proportional inside the bin."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The border of one level in one tensor."""

    threshold: float
    """A float32; larger |d| are inside."""
    tie_cut: int
    """uint64; of the elements equal to the threshold those with a smaller hash are inside."""


def check_levels(levels: object) -> tuple[float, ...]:
    """Pruning rates of the partitions as floats: strictly falling, each in [0, 1).

    Raises:
        InvalidValue: naming the level and the rule it breaks.
    """
    if not isinstance(levels, (list, tuple)) or not levels:
        raise InvalidValue(
            f"levels must be a list of pruning rates such as [0.9, 0.8]: {levels!r}."
        )
    for level in levels:
        if not is_number(level) or not 0 <= float(level) < 1:
            raise InvalidValue(
                f"A pruning rate must be a number in [0, 1), got {level!r}. It is the share "
                "dropped: 0.8 drops 80 %; a percentage instead of a share is the usual cause."
            )
    rates = tuple(float(level) for level in levels)
    if any(later >= earlier for earlier, later in zip(rates, rates[1:], strict=False)):
        raise InvalidValue(
            f"levels must fall strictly, got {list(rates)}. The first keeps the fewest "
            "elements, the last is the overall pruning rate: [0.9, 0.8]."
        )
    return rates


def even_levels(rate: float, partitions: int = 2) -> tuple[float, ...]:
    """Levels that split the kept share evenly: (0.9, 0.8) for rate 0.8 in two partitions."""
    last = check_levels([rate])[0]
    parts = int(check_number("partitions", partitions, 1.0, 100.0))
    inner = (round(1 - (1 - last) * k / parts, 12) for k in range(1, parts))
    return check_levels([*inner, last])


def partition_sizes(kept: Sequence[int]) -> tuple[int, ...]:
    """Elements of each partition from the elements kept at each level."""
    return tuple(int(now) - int(before) for before, now in zip([0, *kept], kept, strict=False))


def select(profile: ModuleProfile, density: float, ties: str = "exact") -> Selection:
    """Step 6 on a profile: find the threshold for a density in [0, 1].

    The threshold is the element of the sorted |d| at index `int(numel * (1 - density))`. With
    `ties: exact`, `round(numel * density)` elements are kept, though never one with d = 0.
    """
    numel = profile.numel
    rank = min(int(numel * (1 - density)), numel - 1)
    index = int(np.searchsorted(profile.below, rank, side="right")) - 1
    low = np.float32(profile.magnitudes[index])
    above, within = numel - int(profile.below[index + 1]), int(profile.counts[index])
    if ties == "exact":
        kept = min(round(numel * density), profile.nonzero)
    else:
        kept = above if profile.exact else max(above, numel - rank - 1)
    inside = (kept - above) / within * float(profile.squares[index])
    energy = float(profile.energy_from[index + 1]) + inside
    high = _upper_edge(low, profile.exact)
    return Selection(
        float(low), high, above, within, rank, kept, ties, profile.exact, max(energy, 0.0)
    )


def _upper_edge(low: np.float32, exact: bool) -> float:
    if exact:
        return float(np.nextafter(low, np.float32(np.inf)))
    return float((low.view(np.uint32) + np.uint32(0x10000)).view(np.float32))


def settled_cut(selection: Selection) -> Cut | None:
    """The cut where the profile alone decides it; None where the tensor must be asked."""
    part = selection.kept - selection.above
    if not selection.exact and selection.ties == "prune":
        return None
    if part == 0:
        edge = selection.low if selection.exact else _before(selection.high)
        return Cut(edge, 0)
    if part == selection.within:
        return Cut(_before(selection.low), 0)
    return None


def resolve_cut(
    selection: Selection,
    numel: int,
    magnitudes: Float32[ndarray, " within"],
    hashes: UInt64[ndarray, " within"],
) -> tuple[Cut, int]:
    """The exact cut, from the elements that lie within the threshold's bin, in any order.

    Args:
        selection: What the profile said.
        numel: Elements of the tensor.
        magnitudes: |d| of the elements within the bin.
        hashes: Their `mix`.

    Returns:
        The cut, and the number of elements inside it.
    """
    place = selection.rank - (numel - selection.above - selection.within)
    threshold = np.partition(magnitudes, place)[place]
    above = selection.above + int(np.count_nonzero(magnitudes > threshold))
    if selection.ties == "prune":
        return Cut(float(threshold), 0), above
    tied = hashes[magnitudes == threshold]
    take = min(max(selection.kept - above, 0), tied.size)
    if take == 0:
        return Cut(float(threshold), 0), above
    if take == tied.size:
        return Cut(_before(float(threshold)), 0), above + take
    return Cut(float(threshold), int(np.partition(tied, take)[take])), above + take


def _before(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(-np.inf)))


def tensor_seed(*names: str | int) -> int:
    """A uint64 from names, the same on every machine."""
    text = "\0".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def mix(indices: UInt64[ndarray, " n"], seed: int) -> UInt64[ndarray, " n"]:
    """The finaliser of splitmix64 on index + seed: distinct indices give distinct hashes."""
    first, second = (np.uint64(value) for value in MULTIPLIERS)
    z = indices + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * first
    z = (z ^ (z >> np.uint64(27))) * second
    mixed: UInt64[ndarray, " n"] = z ^ (z >> np.uint64(31))
    return mixed
