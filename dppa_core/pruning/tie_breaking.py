"""The tie rule: of the elements that equal a threshold, those with the smallest hashes are inside.

A hash depends on the tensor's name and the element's index: a merge is repeatable. A recipe's seed
draws random drops; ties know nothing of it.
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
    """The border of one band in one tensor."""

    threshold: float
    """A float32; larger |d| are inside."""
    tie_cut: int
    """uint64; elements equal to the threshold are inside if their hash is smaller."""


@dataclass(frozen=True, slots=True)
class Window:
    """The range of hashes in which the tie cut of a band is searched."""

    low: int
    high: int
    """The last one, a uint64 like `low`."""
    room: int
    """Room for the expected number of hashes of tied elements in it, with a margin."""


def settled_cut(selection: Selection) -> Cut | None:
    """The cut if counts alone decide it; None if the tensor must be read."""
    inside_edges = {selection.within: selection.low, 0: selection.high}
    if selection.share not in inside_edges or (selection.ties == "prune" and selection.open):
        return None
    edge = np.float32(inside_edges[selection.share])
    return Cut(float(np.nextafter(edge, np.float32(-np.inf))), 0)


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
    ordered = np.partition(hashes[:inside], place)
    cut, before = int(ordered[place]), int(ordered[:place].max(initial=0))
    # Between both, a cut whose lower half is 0 lets loops compare upper halves of hashes only.
    short = cut >> 32 << 32
    return Cut(selection.low, short if place and before < short else cut)


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
