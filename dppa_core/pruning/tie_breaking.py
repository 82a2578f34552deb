"""Which of the elements that equal a threshold are inside a level: those with the smallest hashes.

A hash depends on the tensor's name, the seed and the element's index, so a merge is repeatable.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt64
from numpy import ndarray

from dppa_core.pruning.partition import Selection

MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""The two odd constants of the finaliser of splitmix64."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The border of one level in one tensor."""

    threshold: float
    """A float32; larger |d| are inside."""
    tie_cut: int
    """uint64; elements equal to the threshold are inside if their hash is smaller."""


@dataclass(frozen=True, slots=True)
class Window:
    """The range of hashes in which the tie cut of a level is searched."""

    low: int
    high: int
    """The last one, a uint64 like `low`."""
    room: int
    """Room for the expected number of hashes of tied elements in it, with a margin."""


def settled_cut(selection: Selection) -> Cut | None:
    """The cut if counts alone decide it; None if the tensor must be read."""
    if selection.ties == "prune" and selection.open:
        return None
    if selection.share == 0:
        return Cut(_before(selection.high), 0)
    if selection.share == selection.within:
        return Cut(_before(selection.low), 0)
    return None


def hash_window(tied: int, share: int, deviations: float) -> Window:
    """The window of the tie cut, unless hashes deviate more from uniform than `deviations`.

    Hashes of tied elements behave as random: the number below a fraction of all hashes is binomial.

    Args:
        tied: Number of equal elements.
        share: Number of them to keep.
        deviations: Standard deviations of that binomial distribution.
    """
    spread = deviations * math.sqrt(share * (tied - share) / tied) + 8
    low = max((share - spread) / tied, 0.0)
    high = min((share + spread) / tied, 1.0)
    expected = tied * (high - low)
    room = min(math.ceil(expected + deviations * math.sqrt(expected) + 8), tied)
    return Window(int(low * 2**64), min(int(high * 2**64), 2**64 - 1), room)


def resolve_ties(
    selection: Selection, counts: Int64[ndarray, " three"], hashes: UInt64[ndarray, " room"]
) -> Cut | None:
    """The exact cut among tied elements, or None if the window misses it.

    Args:
        selection: A selection whose bin holds one magnitude.
        counts: counts[1] elements are below the window, counts[2] within it.
        hashes: Hashes within it, as far as there was room.
    """
    place, inside = selection.share - int(counts[1]), int(counts[2])
    if not 0 <= place < inside <= hashes.size:
        return None
    return Cut(selection.low, _cut_before(np.partition(hashes[:inside], place), place))


def _cut_before(hashes: UInt64[ndarray, " n"], place: int) -> int:
    """A cut between the hashes before a place and the hash at it, with the fewest bits set.

    If its lower half is 0, as nearly always, loops need only the upper halves of hashes.
    """
    cut, before = int(hashes[place]), int(hashes[:place].max(initial=0))
    short = cut >> 32 << 32
    return short if place and before < short else cut


def _before(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(-np.inf)))


def tensor_seed(*names: str | int) -> int:
    """A uint64 from names, the same on every machine."""
    text = "\0".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def drop_seed(tensor: str, model: str, seed: int) -> int:
    """The seed of the draws for random drops in one model's delta."""
    return tensor_seed("drop", tensor, model, seed)


def drop_cut(rate: float) -> int:
    """uint64; an element survives a drop at this rate iff its draw is smaller."""
    return min(round((1 - rate) * 2**64), 2**64 - 1)


def mix(indices: UInt64[ndarray, " n"], seed: int) -> UInt64[ndarray, " n"]:
    """The finaliser of splitmix64 on index + seed: distinct indices give distinct hashes."""
    first, second = (np.uint64(value) for value in MULTIPLIERS)
    z = indices + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * first
    z = (z ^ (z >> np.uint64(27))) * second
    return z ^ (z >> np.uint64(31))
