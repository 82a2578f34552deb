"""The overlap of two domain models: elements that both keep, and those with opposite signs.

Levels nest: an element kept at one rate is kept at every lower one. So one number per element
suffices, its *reach*: the number of rates of the grid at which it is kept. The reach of a pair is
the smaller of the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8, UInt32, UInt64
from numpy import ndarray

from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.density import densities_at, significance
from dppa_core.pruning.partition import Selection, select_all
from dppa_core.pruning.plan import held_densities
from dppa_core.pruning.pruning_parameters import Override, PruningParameters
from dppa_core.pruning.rate_table import RATES, CellGrid, plain
from dppa_core.pruning.tie_breaking import Cut, mix

_PREFIX = np.uint32(16)
_PREFIXES = 1 << 15
"""Prefixes of a magnitude: the first 16 bits of a float32 whose sign is 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """Elements that two domain models keep, by module, at every rate of the grid."""

    first: str
    second: str
    kept: Int64[ndarray, "two N R"]
    """Elements that each model keeps, in the order of the profile's modules."""
    both: Int64[ndarray, "N R"]
    """Elements that both keep."""
    opposed: Int64[ndarray, "N R"]
    """Elements of these that the models change in opposite directions."""


def grid_selections(
    profile: DeltaProfile,
    parameters: PruningParameters,
    overrides: Mapping[str, Override] | None = None,
) -> tuple[tuple[Selection, ...], ...]:
    """The border of every module at every rate of the grid.

    An override holds at every rate except 0, where everything is kept: the entries there count the
    elements that both change.
    """
    adjustment = significance(profile, parameters).adjustment
    numel = np.array([item.numel for item in profile.modules], dtype=np.int64)
    held = held_densities(profile, overrides or {})
    density = densities_at(adjustment, numel, np.linspace(0, 1, RATES), held)
    density[0] = 1.0
    return tuple(select_all(profile.modules, density, parameters.ties))


class Reach:
    """Computes the reach of elements of one tensor.

    Args:
        cuts: The border of every level, by rising rate.
        seed: Seed of the order among elements equal to a threshold, see `tensor_seed`.
    """

    def __init__(self, cuts: Sequence[Cut], seed: int) -> None:
        self._seed = seed
        thresholds = np.array([cut.threshold for cut in cuts], np.float32)
        self._bits: UInt32[ndarray, " R"] = np.maximum(thresholds, 0).view(np.uint32)
        self._cuts = np.array([cut.tie_cut for cut in cuts], np.uint64)
        # Most prefixes contain no threshold: they alone determine the reach.
        first = np.arange(_PREFIXES, dtype=np.uint32) << _PREFIX
        last = first | np.uint32((1 << 16) - 1)
        below = np.searchsorted(self._bits, first, side="left")
        self._below: UInt8[ndarray, " prefixes"] = below.astype(np.uint8)
        self._open = np.searchsorted(self._bits, last, side="right") > below

    def of(self, magnitudes: Float32[ndarray, " n"], start: int) -> UInt8[ndarray, " n"]:
        """The number of rates at which each element is kept.

        Args:
            magnitudes: |d|, or another score, of neighbours in the tensor.
            start: Flat index of the first.
        """
        bits = magnitudes.view(np.uint32)
        prefix = (bits >> _PREFIX).astype(np.intp)
        reach = self._below[prefix]
        unsure = np.flatnonzero(self._open[prefix])
        if unsure.size:
            reach[unsure] = self._looked_up(
                bits[unsure], unsure.astype(np.uint64) + np.uint64(start)
            )
        return reach

    def _looked_up(
        self, bits: UInt32[ndarray, " m"], places: UInt64[ndarray, " m"]
    ) -> UInt8[ndarray, " m"]:
        below = np.searchsorted(self._bits, bits, side="left").astype(np.uint8)
        last = self._bits.size - 1
        tied = np.flatnonzero(self._bits[np.minimum(below, last)] == bits)
        # Group elements by threshold: each group is compared only with that threshold's cuts.
        tied = tied[np.argsort(below[tied], kind="stable")]
        hashes, groups = mix(places[tied], self._seed), below[tied]
        bounds = [*np.flatnonzero(np.diff(groups, prepend=-1)), tied.size]
        for start, stop in pairwise(bounds):
            first = int(groups[start])
            end = int(np.searchsorted(self._bits, self._bits[first], side="right"))
            rising = self._cuts[first:end][::-1]
            inside = rising.size - np.searchsorted(rising, hashes[start:stop], side="right")
            below[tied[start:stop]] += inside.astype(np.uint8)
        return below


def meet(
    first: UInt8[ndarray, " n"], second: UInt8[ndarray, " n"], opposed: Bool[ndarray, " n"]
) -> Int64[ndarray, "two edges"]:
    """Count elements by the smaller of two reaches: with equal signs, and with opposite signs."""
    codes = np.minimum(first, second).astype(np.intp) + opposed * (RATES + 1)
    return np.bincount(codes, minlength=2 * (RATES + 1)).reshape(2, RATES + 1).astype(np.int64)


def count_reaches(reach: UInt8[ndarray, " n"]) -> Int64[ndarray, " edges"]:
    """Count elements by their reach."""
    return np.bincount(reach, minlength=RATES + 1).astype(np.int64)


def kept_at(counts: Int64[ndarray, "*axes edges"]) -> Int64[ndarray, "*axes R"]:
    """Elements kept at every rate, from counts by reach: those with a larger reach."""
    return np.asarray(counts[..., ::-1].cumsum(axis=-1)[..., ::-1][..., 1:])


def pack_meetings(profile: DeltaProfile, meetings: Sequence[Meeting]) -> list[dict[str, Any]]:
    """The page's data on pairs: shares of a cell's elements, packed as in `pack_table`.

    The profile of any model gives the cells.

    Returns:
        For each pair {"first", "second"} and arrays of layers x kinds x rates: "kept_first",
        "kept_second", "both", "opposed".
    """
    grid = CellGrid(profile)
    numel = np.array([item.numel for item in profile.modules], dtype=np.float64)[:, None]
    return [
        {
            "first": meeting.first,
            "second": meeting.second,
            "kept_first": plain(grid.spread(meeting.kept[0] / numel)),
            "kept_second": plain(grid.spread(meeting.kept[1] / numel)),
            "both": plain(grid.spread(meeting.both / numel)),
            "opposed": plain(grid.spread(meeting.opposed / numel)),
        }
        for meeting in meetings
    ]
