"""The loops over scores: the same bytes on both backends and from plain numpy."""

import numpy as np
import pytest

from dppa_core.kernels import get_backend
from dppa_core.kernels.protocol import Kernels
from dppa_core.pruning.floats import from_float32, to_float32
from dppa_core.pruning.tie_breaking import mix

N = 5000
SMALLEST = np.finfo(np.float32).tiny
RNG = np.random.default_rng(5)
Sides = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(params=["BF16", "F32"])
def sides(request: pytest.FixtureRequest) -> Sides:
    """Base and tuned as stored, and d: with zeros, tiny, large and infinite deltas."""
    base = RNG.normal(size=N).astype(np.float32)
    tuned = base + np.round(RNG.standard_t(3, N), 1).astype(np.float32)
    tuned[::7] = base[::7]
    base[::13], tuned[::13] = 1e-45, 3e-39
    tuned[::17] = 1e30
    raw = from_float32(base, request.param), from_float32(tuned, request.param)
    delta = to_float32(raw[1], request.param) - to_float32(raw[0], request.param)
    for array in raw:
        array.flags.writeable = False  # as a merge reads them: other arrays are compiled again
    return (*raw, delta)


@pytest.fixture(scope="module")
def backends() -> tuple[Kernels, Kernels]:
    return get_backend("numba"), get_backend("torch")


def test_a_score_is_weight_times_magnitude(backends: tuple[Kernels, Kernels], sides: Sides) -> None:
    base, tuned, delta = sides
    weights = RNG.random(N).astype(np.float32)
    weights[::5] = 0
    expected = np.where(delta == 0, 0, np.maximum(weights * np.abs(delta), SMALLEST))
    for kernels in backends:
        scores = np.full(N, np.nan, np.float32)
        kernels.score(base, tuned, weights, scores)
        assert scores.tobytes() == expected.astype(np.float32).tobytes()


def test_a_score_that_is_no_number_stays_none(backends: tuple[Kernels, Kernels]) -> None:
    base = np.zeros(4, np.float32)
    tuned = np.array([np.nan, np.inf, -np.inf, 3e38], np.float32)
    weights = np.array([1, 1, 1, 3e38], np.float32)
    for kernels in backends:
        scores = np.zeros(4, np.float32)
        kernels.score(base, tuned, weights, scores)
        assert np.isnan(scores[0]) and np.isinf(scores[1:]).all()
        kernels.score_random(base, tuned, 0, 7, scores)
        assert np.isnan(scores[0]) and np.isinf(scores[1:3]).all() and 0 < scores[3] <= 1


def test_a_random_score_is_the_hash_of_the_place(
    backends: tuple[Kernels, Kernels], sides: Sides
) -> None:
    base, tuned, delta = sides
    start, seed = 2**40 + 3, 2**64 - 5
    hashes = mix(np.arange(start, start + N, dtype=np.uint64), seed)
    drawn = ((hashes >> np.uint64(40)) + np.uint64(1)).astype(np.float32) * np.float32(2.0**-24)
    expected = np.where(delta == 0, np.float32(0), drawn)
    for kernels in backends:
        scores = np.zeros(N, np.float32)
        kernels.score_random(base, tuned, start, seed, scores)
        assert scores.tobytes() == expected.tobytes()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_what_is_added_is_the_delta_where_the_score_is_inside(
    backends: tuple[Kernels, Kernels], sides: Sides, count: int
) -> None:
    base, tuned, delta = sides
    scores = np.round(RNG.random(N), 2).astype(np.float32)
    thresholds = np.sort(RNG.choice(np.unique(scores), count, replace=False))[::-1].copy()
    cuts = RNG.integers(0, 2**64 - 1, count, dtype=np.uint64)
    weights = RNG.normal(size=count).astype(np.float32)
    hashes = mix(np.arange(11, 11 + N, dtype=np.uint64), 3)
    factors = np.zeros(N, np.float32)
    for band in reversed(range(count)):
        tied = (scores == thresholds[band]) & (hashes < cuts[band])
        factors[(scores > thresholds[band]) | tied] = weights[band]
    before = RNG.normal(size=N).astype(np.float32)
    term = factors * delta
    expected = np.where(term != 0, before + term, before)
    for kernels in backends:
        total = before.copy()
        kernels.add_ranked(total, base, tuned, scores, 11, 3, (thresholds, cuts, weights))
        assert total.tobytes() == expected.tobytes()


def test_ranked_by_magnitude_it_is_what_is_added_by_magnitude(
    backends: tuple[Kernels, Kernels], sides: Sides
) -> None:
    base, tuned, delta = sides
    thresholds = np.array([0.7, 0.3], np.float32)
    cuts, weights = np.array([2**63, 2**61], np.uint64), np.array([1.5, 0.5], np.float32)
    bands = thresholds, cuts, weights
    for kernels in backends:
        by_magnitude, by_score = np.zeros((2, N), np.float32)
        kernels.add_bands(by_magnitude, base, tuned, 0, 9, bands)
        kernels.add_ranked(by_score, base, tuned, np.abs(delta), 0, 9, bands)
        assert by_magnitude.tobytes() == by_score.tobytes()


def test_sums_go_to_the_words_that_a_histogram_counts_in(
    backends: tuple[Kernels, Kernels], sides: Sides
) -> None:
    base, tuned, delta = sides
    scores = (RNG.random(N) ** 8).astype(np.float32)
    bits = scores.view(np.uint32)
    index = 2 * (bits >> 14) + ((bits & 0x3FFF) > 0)
    size = np.abs(delta).astype(np.float64)
    expected = np.stack(
        [np.bincount(index, values, minlength=1 << 18) for values in (size, size * size)], axis=1
    )
    for kernels in backends:
        sums = np.zeros((1 << 18, 2))
        kernels.sum_by_bin(base[:1234], tuned[:1234], scores[:1234], sums)
        kernels.sum_by_bin(base[1234:], tuned[1234:], scores[1234:], sums)
        assert sums.tobytes() == expected.tobytes()
