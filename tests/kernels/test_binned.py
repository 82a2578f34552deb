"""From counted bins to profiles: compiled loops and plain numpy agree in every bit."""

import numpy as np
import pytest

from dppa_core.checkpoints.chunks import TensorPair
from dppa_core.profiling.binning import Bins, joined, profile_of_bins
from dppa_core.pruning.delta_profile import OPEN_BITS, ModuleProfile
from tests.helpers.random_profiles import module

RNG = np.random.default_rng(11)
LAST = 2 * (0x7F800000 >> OPEN_BITS)


def some_bins(size: int, scored: bool = False) -> Bins:
    """Any magnitudes, from 0 and the smallest to the largest."""
    words = np.sort(RNG.choice(LAST, size, replace=False))
    if size:
        words[0] = RNG.integers(2)
    counts = RNG.integers(1, 1 << 20, size)
    places = np.where(words & 1, counts + RNG.integers(0, 1 << 30, size), 0)
    return Bins(words, counts, places, RNG.random(), RNG.random((size, 2)) if scored else None)


def test_a_profile_sums_up_its_bins_as_it_would_by_itself() -> None:
    bins = some_bins(5000)
    weights = np.broadcast_to(np.uint16(0), 1 << 20)
    pair = TensorPair("w", weights, "BF16", weights, "BF16")
    profile = profile_of_bins(module(0, weights.size), pair, bins, ("base", "math"))
    opened = bins.words & 1
    np.testing.assert_array_equal(profile.magnitudes.view(np.uint32) & 1, opened)
    np.testing.assert_array_equal(profile.magnitudes.view(np.uint32) >> OPEN_BITS, bins.words >> 1)
    mean = (bins.places / bins.counts - opened).astype(np.float32)
    np.testing.assert_array_equal(profile.excess, mean)
    computed = ModuleProfile(
        profile.module, profile.magnitudes, profile.counts, profile.excess, profile.base_square
    )
    assert profile.below.tolist() == computed.below.tolist()
    assert (
        profile.energy_from.tobytes() == computed.energy_from.tobytes()
        and profile.total == computed.total
    )


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("sizes", [(700,), (1, 400), (400, 1), (300, 500, 2, 40)])
def test_parts_are_joined_word_by_word(sizes: tuple[int, ...], scored: bool) -> None:
    parts = [some_bins(size, scored) for size in sizes]
    whole = joined(parts)
    counts, places = np.zeros(LAST, np.int64), np.zeros(LAST, np.int64)
    sums = np.zeros((LAST, 2))
    for part in parts:
        counts[part.words] += part.counts
        places[part.words] += part.places
        if part.sums is not None:
            sums[part.words] += part.sums
    words = np.flatnonzero(counts)
    assert whole.words.tolist() == words.tolist()
    assert whole.counts.tolist() == counts[words].tolist()
    assert whole.places.tolist() == places[words].tolist()
    assert (whole.sums is not None) == scored
    if whole.sums is not None:
        assert whole.sums.tobytes() == sums[words].tobytes()
    assert whole.base_square == sum(part.base_square for part in parts)
