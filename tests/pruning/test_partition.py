"""Levels and cuts: exact counts, nested masks, no zero kept, ties in hash order."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.errors import InvalidValue
from dppa_core.profiling import binning
from dppa_core.pruning.delta_profile import OPEN_BITS
from dppa_core.pruning.partition import (
    Selection,
    check_levels,
    even_levels,
    refine,
    select,
)
from dppa_core.pruning.tie_breaking import (
    Cut,
    hash_window,
    mix,
    resolve_ties,
    settled_cut,
    tensor_seed,
)
from tests.helpers.random_profiles import LEVELS, deltas, profile_of

SEED = tensor_seed("a tensor")


def hashes(numel: int) -> np.ndarray:
    return mix(np.arange(numel, dtype=np.uint64), SEED)


def cut_of(selection: Selection, delta: np.ndarray, deviations: float = 6.0) -> Cut:
    size = np.abs(delta)
    if selection.open and settled_cut(selection) is None:
        inside = (size >= np.float32(selection.low)) & (size < np.float32(selection.high))
        places = size[inside].view(np.uint32) & (2**OPEN_BITS - 1)
        selection = refine(selection, delta.size, np.bincount(places, minlength=2**OPEN_BITS))
    cut = settled_cut(selection)
    if cut is not None:
        return cut
    window = hash_window(selection.within, selection.share, deviations)
    tied = hashes(delta.size)[size == np.float32(selection.low)]
    low, high = np.uint64(window.low), np.uint64(window.high)
    inside = tied[(tied >= low) & (tied <= high)]
    counts = np.array([tied.size, np.count_nonzero(tied < low), inside.size])
    cut = resolve_ties(selection, counts, inside[: window.room])
    return cut or cut_of(selection, delta, 1e12)


def mask_of(cut: Cut, delta: np.ndarray) -> np.ndarray:
    size, threshold = np.abs(delta), np.float32(cut.threshold)
    tied = (size == threshold) & (hashes(delta.size) < np.uint64(cut.tie_cut))
    return (size > threshold) | tied


def mask(delta: np.ndarray, density: float, ties: str = "exact") -> np.ndarray:
    selection = select(profile_of(delta), density, ties)
    return mask_of(cut_of(selection, delta), delta)


@pytest.fixture(scope="module", params=["distinct", "binned"], autouse=True)
def precision(request: pytest.FixtureRequest) -> Iterator[float]:
    """Every claim holds for profiles of distinct magnitudes and for those with open bins.

    Yields the precision of sums of squares, which inside an open bin are estimates.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "binned":
            patch.setattr(binning, "EXACT_NUMEL", 0)
        yield 1e-9 if request.param == "distinct" else 2**-9


@given(deltas(), st.floats(0, 1))
def test_exactly_the_asked_number_is_kept_and_never_a_zero(
    delta: np.ndarray, density: float
) -> None:
    kept = mask(delta, density)
    assert kept.sum() == min(round(delta.size * density), np.count_nonzero(delta))
    assert not kept[delta == 0].any()


@given(deltas(), st.floats(0, 1))
def test_nothing_pruned_is_larger_than_anything_kept(delta: np.ndarray, density: float) -> None:
    kept = mask(delta, density)
    if kept.any() and not kept.all():
        assert np.abs(delta[kept]).min() >= np.abs(delta[~kept]).max()


@given(deltas(), st.floats(0, 1))
def test_pruned_ties_are_what_the_sorted_threshold_says(delta: np.ndarray, density: float) -> None:
    ordered = np.sort(np.abs(delta))
    threshold = ordered[min(int(delta.size * (1 - density)), delta.size - 1)]
    np.testing.assert_array_equal(mask(delta, density, "prune"), np.abs(delta) > threshold)


@given(deltas(), LEVELS, st.sampled_from(["exact", "prune"]))
def test_masks_of_falling_levels_nest(
    delta: np.ndarray, levels: tuple[float, ...], ties: str
) -> None:
    masks = [mask(delta, 1 - level, ties) for level in levels]
    for inner, outer in zip(masks, masks[1:], strict=False):
        assert not (inner & ~outer).any()


@given(delta=deltas(), density=st.floats(0, 1))
def test_energy_is_the_share_of_squares_kept(
    precision: float, delta: np.ndarray, density: float
) -> None:
    kept = mask(delta, density)
    selection = select(profile_of(delta), density)
    energy = (delta[kept].astype(np.float64) ** 2).sum()
    assert selection.energy == pytest.approx(energy, rel=precision, abs=1e-12)


def test_ties_are_shared_out_over_the_whole_tensor() -> None:
    kept = mask(np.ones(100_000, np.float32), 0.2).reshape(10, -1)
    assert kept.sum() == 20_000
    assert (np.abs(kept.mean(axis=1) - 0.2) < 0.02).all()


def test_the_hash_is_a_bijection_and_the_same_for_ever() -> None:
    assert np.unique(hashes(10_000)).size == 10_000
    assert mix(np.arange(2, dtype=np.uint64), 1).tolist() == [
        6238072747940578789,
        15839785061582574730,
    ]


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([], "list of pruning rates"),
        ([0.8, 0.9], "fall strictly"),
        ([0.8, 0.8], "fall strictly"),
        ([1.0], r"\[0, 1\), got 1.0"),
        ([80], "percentage"),
        ([-0.1], r"\[0, 1\), got -0.1"),
        ([float("nan")], "got nan"),
        (["0.8"], "got '0.8'"),
    ],
)
def test_levels_that_are_none_are_refused(levels: list[float], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        check_levels(levels)


def test_even_levels_split_the_kept_share() -> None:
    assert even_levels(0.8) == (0.9, 0.8)
    assert even_levels(0.8, 4) == (0.95, 0.9, 0.85, 0.8)
    assert even_levels(0.5, 1) == (0.5,)
