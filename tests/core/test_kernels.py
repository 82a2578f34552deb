"""Both backends give the same bytes, and no term is fused with a sum."""

import numpy as np
import pytest

from dppa_core.errors import UnknownName
from dppa_core.kernels import Kernels, get_backend

N = 5000
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def backends() -> tuple[Kernels, Kernels]:
    return get_backend("numba"), get_backend("torch")


@pytest.fixture
def chunk() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """acc, base and tuned with ties, zeros of both signs, tiny and large numbers."""
    base = RNG.normal(size=N).astype(np.float32)
    tuned = base + np.round(RNG.standard_t(3, N), 1).astype(np.float32)
    tuned[::7] = base[::7]
    base[::11], tuned[::11] = -0.0, -0.0
    base[::13], tuned[::13] = 1e-45, 3e-39
    tuned[::17] = 1e30
    return base + np.float32(0.3), base, tuned


def same(left: np.ndarray, right: np.ndarray) -> None:
    assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("weight", [1.0, 0.3, 0.0, -1.7])
def test_whole(backends: tuple[Kernels, Kernels], chunk: tuple, weight: float) -> None:
    acc, base, tuned = chunk
    results = [acc.copy() for _ in backends]
    for kernels, result in zip(backends, results, strict=True):
        kernels.add_whole(result, base, tuned, weight)
    same(*results)


@pytest.mark.parametrize("levels", [1, 2, 9])
def test_bands(backends: tuple[Kernels, Kernels], chunk: tuple, levels: int) -> None:
    acc, base, tuned = chunk
    sizes = np.unique(np.abs(tuned - base))
    thresholds = np.sort(RNG.choice(sizes, levels))[::-1].copy()
    cuts = RNG.integers(0, 2**64 - 1, levels, dtype=np.uint64)
    cuts[0] = 0
    weights = RNG.normal(size=levels).astype(np.float32)
    results = [acc.copy() for _ in backends]
    for kernels, result in zip(backends, results, strict=True):
        kernels.add_bands(result, base, tuned, 2**33, 2**64 - 5, thresholds, cuts, weights)
    same(*results)


@pytest.mark.parametrize("cut", [0, 2**62, 2**63, 2**64 - 1])
def test_random(backends: tuple[Kernels, Kernels], chunk: tuple, cut: int) -> None:
    acc, base, tuned = chunk
    results = [acc.copy() for _ in backends]
    for kernels, result in zip(backends, results, strict=True):
        kernels.add_random(result, base, tuned, 123, 2**63 + 11, cut, 10.0)
    same(*results)


def test_gather(backends: tuple[Kernels, Kernels], chunk: tuple) -> None:
    _, base, tuned = chunk
    found = []
    for kernels in backends:
        size, hashes = np.zeros(N, np.float32), np.zeros(N, np.uint64)
        count = kernels.gather(base, tuned, 7, 9, 0.5, 1.5, size, hashes, 3)
        found.append((count, size, hashes))
    assert found[0][0] == found[1][0] > 3
    same(found[0][1], found[1][1])
    same(found[0][2], found[1][2])


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_gather_stops_where_its_arrays_end(backend: str, chunk: tuple) -> None:
    _, base, tuned = chunk
    size, hashes = np.zeros(5, np.float32), np.zeros(5, np.uint64)
    kernels = get_backend(backend)
    assert kernels.gather(base, tuned, 0, 9, 0.5, 1.5, size, hashes, 2) == 5


def test_histogram(backends: tuple[Kernels, Kernels], chunk: tuple) -> None:
    _, base, tuned = chunk
    found = []
    for kernels in backends:
        counts = np.zeros(1 << 15, np.int64)
        sums, squares = np.zeros((2, 1 << 15))
        kernels.histogram(base, tuned, counts, sums, squares)
        found.append((counts, sums, squares))
    same(found[0][0], found[1][0])
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-12)
    np.testing.assert_allclose(found[0][2], found[1][2], rtol=1e-12)
    assert found[0][0].sum() == N


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
