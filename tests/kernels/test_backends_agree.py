"""Both backends give the same bytes, without fused multiply-adds."""

import numpy as np
import pytest

from dppa_core.errors import UnknownName
from dppa_core.kernels import get_backend
from dppa_core.kernels.protocol import Kernels, Tally
from dppa_core.pruning.floats import from_float32, to_float32
from dppa_core.pruning.tie_breaking import mix

N = 9000
CODES = {2: "BF16", 4: "F32"}
Chunk = tuple[np.ndarray, np.ndarray, np.ndarray]
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def backends() -> tuple[Kernels, Kernels]:
    return get_backend("numba"), get_backend("torch")


@pytest.fixture(params=["BF16", "F32"])
def chunk(request: pytest.FixtureRequest) -> Chunk:
    """acc, and base and tuned as stored, with ties, zeros of both signs, tiny and large numbers."""
    base = RNG.normal(size=N).astype(np.float32)
    tuned = base + np.round(RNG.standard_t(3, N), 1).astype(np.float32)
    tuned[::7] = base[::7]
    base[::11], tuned[::11] = -0.0, -0.0
    base[::13], tuned[::13] = 1e-45, 3e-39
    tuned[::17] = 1e30
    acc = base + np.float32(0.3)
    stored = [from_float32(values, request.param) for values in (base, tuned)]
    for array in stored:
        array.flags.writeable = False  # as a merge reads them: other arrays are compiled again
    return acc, stored[0], stored[1]


def delta_of(base: np.ndarray, tuned: np.ndarray) -> np.ndarray:
    code = CODES[base.dtype.itemsize]
    return np.abs(to_float32(tuned, code) - to_float32(base, code))


def same(left: np.ndarray, right: np.ndarray) -> None:
    assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("weight", [1.0, 0.3, 0.0, -1.7])
def test_whole(backends: tuple[Kernels, Kernels], chunk: Chunk, weight: float) -> None:
    acc, base, tuned = chunk
    results = [acc.copy() for _ in backends]
    for kernels, result in zip(backends, results, strict=True):
        kernels.add_whole(result, base, tuned, weight)
    same(*results)


@pytest.mark.parametrize("levels", [1, 2, 9])
def test_bands(backends: tuple[Kernels, Kernels], chunk: Chunk, levels: int) -> None:
    acc, base, tuned = chunk
    sizes = np.unique(delta_of(base, tuned))
    thresholds = np.sort(RNG.choice(sizes, levels))[::-1].copy()
    cuts = RNG.integers(0, 2**64 - 1, levels, dtype=np.uint64)
    cuts[0] = 0 if levels > 1 else cuts[0]
    weights = RNG.normal(size=levels).astype(np.float32)
    results = [acc.copy() for _ in backends]
    for kernels, result in zip(backends, results, strict=True):
        kernels.add_bands(result, base, tuned, 2**33, 2**64 - 5, (thresholds, cuts, weights))
    same(*results)


@pytest.mark.parametrize("cut", [0, 2**62, 2**63, 2**64 - 1])
def test_random(backends: tuple[Kernels, Kernels], chunk: Chunk, cut: int) -> None:
    acc, base, tuned = chunk
    results = [acc.copy() for _ in backends]
    for kernels, result in zip(backends, results, strict=True):
        kernels.add_random(result, base, tuned, 123, 2**63 + 11, cut, 10.0)
    same(*results)


def test_ties_are_counted_and_collected(backends: tuple[Kernels, Kernels], chunk: Chunk) -> None:
    acc, base, tuned = chunk
    sizes, counts = np.unique(delta_of(base, tuned), return_counts=True)
    thresholds = sizes[np.argsort(counts)[-3:]].astype(np.float32)
    lows = np.array([0, 2**62, 2**63], np.uint64)
    highs = np.array([2**64 - 1, 2**63 - 1, 2**63 + 2**60], np.uint64)
    results = []
    for kernels in backends:
        counted, hashes = np.zeros((3, 3), np.int64), np.zeros((3, N), np.uint64)
        for start in (0, N // 2):
            part = slice(start, start + N // 2)
            windows, tied = (thresholds, lows, highs), (counted, hashes)
            kernels.gather_tied(base[part], tuned[part], start + 7, 9, windows, tied)
        results.append((counted, hashes))
    same(results[0][0], results[1][0])
    same(results[0][1], results[1][1])
    hashed = mix(np.arange(7, 7 + N, dtype=np.uint64), 9)
    for band, threshold in enumerate(thresholds):
        tied = hashed[delta_of(base, tuned) == threshold]
        inside = tied[(tied >= lows[band]) & (tied <= highs[band])]
        expected = (tied.size, np.count_nonzero(tied < lows[band]), inside.size)
        assert results[0][0][band].tolist() == list(expected)
        same(results[0][1][band, : inside.size], inside)


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_collecting_stops_where_its_arrays_end(backend: str) -> None:
    base, tuned = np.zeros(100, np.float32), np.ones(100, np.float32)
    counted, hashes = np.zeros((1, 3), np.int64), np.zeros((1, 5), np.uint64)
    every = np.array([0], np.uint64), np.array([2**64 - 1], np.uint64)
    threshold = np.ones(1, np.float32)
    get_backend(backend).gather_tied(base, tuned, 0, 9, (threshold, *every), (counted, hashes))
    assert counted.tolist() == [[100, 0, 100]]
    same(hashes[0], mix(np.arange(5, dtype=np.uint64), 9))


def test_a_histogram_counts_edges_and_insides(
    backends: tuple[Kernels, Kernels], chunk: Chunk
) -> None:
    _, base, tuned = chunk
    bits = delta_of(base, tuned).view(np.uint32)
    low = bits & 0x3FFF
    index = 2 * (bits >> 14) + (low > 0)
    words = np.unique(index)
    for kernels in backends:
        tally = Tally()
        for _ in range(2):  # empty again once it was drained
            kernels.histogram(base[:1234], tuned[:1234], tally)
            kernels.histogram(base[1234:], tuned[1234:], tally)
            drained = kernels.drain(tally)
            np.testing.assert_array_equal(drained.words, words)
            np.testing.assert_array_equal(drained.counts, np.bincount(index)[words])
            np.testing.assert_array_equal(drained.places, np.bincount(index, weights=low)[words])


@pytest.mark.parametrize("rare", [False, True])
def test_a_histogram_of_usual_weights(backends: tuple[Kernels, Kernels], rare: bool) -> None:
    numel = 9 * 2048 + 7  # blocks that are counted fast, and one of some elements
    base = RNG.normal(scale=0.02, size=numel).astype(np.float32)
    tuned = base + (RNG.standard_t(4, numel) * 1e-3).astype(np.float32)
    tuned[5000:5100] = base[5000:5100]
    if rare:
        tuned[7000] = 1e30  # one unusual |d| in a block: counted slowly beside the others
    base, tuned = (from_float32(values, "BF16") for values in (base, tuned))
    base.flags.writeable = tuned.flags.writeable = False
    bits = delta_of(base, tuned).view(np.uint32)
    low = bits & 0x3FFF
    index = 2 * (bits >> 14) + (low > 0)
    words, counts = np.unique(index, return_counts=True)
    assert np.count_nonzero(low) > 50
    for kernels in backends:
        tally = Tally()
        for _ in range(2):
            kernels.histogram(base, tuned, tally)
            drained = kernels.drain(tally)
            np.testing.assert_array_equal(drained.words, words)
            np.testing.assert_array_equal(drained.counts, counts)
            np.testing.assert_array_equal(drained.places, np.bincount(index, weights=low)[words])
            if drained.inside is not None:
                np.testing.assert_array_equal(np.sort(drained.inside), np.sort(bits[low > 0]))
            else:
                assert rare or kernels is backends[1]


def test_a_histogram_of_nothing_but_zeros(backends: tuple[Kernels, Kernels]) -> None:
    for kernels in backends:
        tally = Tally()
        assert not kernels.drain(tally).words.size
        kernels.histogram(np.ones(5, np.float32), np.ones(5, np.float32), tally)
        drained = kernels.drain(tally)
        rows = (drained.words, drained.counts, drained.places)
        assert [row.tolist() for row in rows] == [[0], [5], [0]]


def test_a_bin_is_split_by_its_last_bits(backends: tuple[Kernels, Kernels], chunk: Chunk) -> None:
    _, base, tuned = chunk
    bits = delta_of(base, tuned).view(np.uint32)
    keys, sizes = np.unique(bits >> 14, return_counts=True)
    key = int(keys[np.argmax(sizes)])
    expected = np.bincount(bits[bits >> 14 == key] & 0x3FFF, minlength=1 << 14)
    for kernels in backends:
        counts = np.zeros(1 << 14, np.int64)
        kernels.split_bin(base, tuned, key, counts)
        np.testing.assert_array_equal(counts, expected)


def test_squares_are_summed_in_the_same_order(
    backends: tuple[Kernels, Kernels], chunk: Chunk
) -> None:
    sums = [np.zeros(64) for _ in backends]
    for kernels, lanes in zip(backends, sums, strict=True):
        kernels.sum_squares(chunk[1], lanes)
    same(*sums)
    values = to_float32(chunk[1], CODES[chunk[1].dtype.itemsize]).astype(np.float64)
    assert sums[0].sum() == pytest.approx((values**2).sum(), rel=1e-12)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, -3e38, 0.0])
def test_the_largest_magnitude(backends: tuple[Kernels, Kernels], value: float) -> None:
    values = np.array([-2.0, 1.0, value, 0.5], np.float32)
    expected = max(abs(value), 2.0) if value == value else np.nan
    for kernels in backends:
        np.testing.assert_equal(kernels.largest(values), float(np.float32(expected)))


def test_widen_and_narrow(backends: tuple[Kernels, Kernels]) -> None:
    raw = np.arange(1 << 16, dtype=np.uint16)
    raw = raw[(raw & 0x7F80) != 0x7F80]
    outs = [np.zeros(raw.size, np.float32) for _ in backends]
    for kernels, out in zip(backends, outs, strict=True):
        kernels.widen(raw, out)
    same(*outs)
    values = RNG.integers(0, 0x7F7F0000, 10**5, dtype=np.uint32)
    values[:1000] = (values[:1000] & 0xFFFF0000) | 0x8000  # halfway between two bfloat16
    narrow = [np.zeros(values.size, np.uint16) for _ in backends]
    for kernels, out in zip(backends, narrow, strict=True):
        kernels.narrow(values.view(np.float32), out)
    same(*narrow)


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_products_are_rounded_before_they_are_added(backend: str) -> None:
    """(1 + 2**-12)**2 - (1 + 2**-11) is 2**-24 when fused, and 0 when the product is rounded."""
    near_one = np.float32(1 + 2**-12)
    size = 4096
    acc = np.full(size, -np.float32(1 + 2**-11), np.float32)
    zero, tuned = np.zeros(size, np.float32), np.full(size, near_one, np.float32)
    get_backend(backend).add_whole(acc, zero, tuned, float(near_one))
    assert not acc.any()


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_a_term_of_zero_leaves_the_sign_of_a_zero_alone(backend: str) -> None:
    acc, base = np.full(4, -0.0, np.float32), np.ones(4, np.float32)
    get_backend(backend).add_whole(acc, base, base.copy(), 1.0)
    assert np.signbit(acc).all()


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'numba'"):
        get_backend("nunba")
