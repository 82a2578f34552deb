"""Merging in one loop, and counting bfloat16: the bytes of the slow loops for any numbers."""

import numpy as np
import pytest

from dppa_core.kernels import get_backend
from dppa_core.kernels.protocol import MAX_FUSED_MODELS, Bands, Drained, Tally
from dppa_core.pruning.floats import from_float32, to_float32
from dppa_core.pruning.tie_breaking import mix

N = 20_011  # no multiple of any block
NUMBA, TORCH = get_backend("numba"), get_backend("torch")
RNG = np.random.default_rng(7)
START, SEED = 2**33 + 1, 2**64 - 5


def weights(signed: slice = slice(0, N, 11)) -> tuple[np.ndarray, list[np.ndarray]]:
    """A base and three models with many ties, unchanged elements, and zeros of both signs."""
    base = RNG.normal(size=N).astype(np.float32)
    base[5::11], base[signed] = 0.0, -0.0
    tuned = []
    for seed in range(MAX_FUSED_MODELS):
        model = base + np.round(RNG.standard_t(3, N) * 0.05, 2).astype(np.float32)
        model[seed::7] = base[seed::7]
        tuned.append(from_float32(model, "BF16"))
    return from_float32(base, "BF16"), tuned


def some_bands(base: np.ndarray, tuned: np.ndarray, count: int, cuts: str) -> Bands:
    """Thresholds that many elements are equal to."""
    sizes = np.abs(to_float32(tuned, "BF16") - to_float32(base, "BF16"))
    distinct, often = np.unique(sizes, return_counts=True)
    thresholds = np.sort(distinct[np.argsort(often)[-6:]][:count])[::-1].astype(np.float32)
    return thresholds, some_cuts(sizes, thresholds, cuts), RNG.normal(size=count).astype(np.float32)


def some_cuts(sizes: np.ndarray, thresholds: np.ndarray, kind: str) -> np.ndarray:
    """No ties; cuts at half a hash, the usual case; any cut; or just after an element."""
    if kind == "none":
        return np.zeros(thresholds.size, np.uint64)
    if kind == "next to an element":
        tied = [np.flatnonzero(sizes == threshold)[7] for threshold in thresholds]
        return mix(np.array(tied, np.uint64) + np.uint64(START), SEED) + np.uint64(1)
    cuts = RNG.integers(1, 2**64 - 1, thresholds.size, dtype=np.uint64)
    return cuts >> np.uint64(32) << np.uint64(32) if kind == "half" else cuts


@pytest.mark.parametrize("cuts", ["none", "half", "any", "next to an element"])
@pytest.mark.parametrize("signed", [slice(0, N, 11), slice(7000, 7001), slice(0, 0)])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("models", [1, 2, 3])
def test_one_loop_merges_as_many_loops_do(
    models: int, count: int, signed: slice, cuts: str
) -> None:
    base, tuned = weights(signed)
    bands = [some_bands(base, raw, count, cuts) for raw in tuned[:models]]
    slow, fast = np.empty((2, N), np.uint16)
    assert TORCH.fuse(base, tuned[:models], START, SEED, bands, slow)
    assert NUMBA.fuse(base, tuned[:models], START, SEED, bands, fast)
    assert fast.tobytes() == slow.tobytes() != base.tobytes()


@pytest.mark.parametrize("bad", [np.inf, np.nan, 3.3e38])
def test_one_loop_tells_what_is_not_finite(bad: float) -> None:
    base, tuned = weights()
    tuned[0][-1] = from_float32(np.array([bad], np.float32), "BF16")[0]
    whole = np.array([-1], np.float32), np.zeros(1, np.uint64), np.array([1.5], np.float32)
    out = np.empty(N, np.uint16)
    for kernels in (NUMBA, TORCH):
        assert not kernels.fuse(base, tuned[:1], 0, 0, [whole], out)
        assert kernels.fuse(base[:-1], [tuned[0][:-1]], 0, 0, [whole], out[:-1])


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-12, 1e-20, 1e-38, 1e6, 1e30, 0.0])
@pytest.mark.parametrize("size", [N, 100, 4096])
def test_bfloat16_is_counted_as_any_weights(scale: float, size: int) -> None:
    base = (RNG.normal(size=size) * scale).astype(np.float32)
    noise = (RNG.standard_t(3, size) * 0.03 * scale).astype(np.float32)
    old, new = (from_float32(values, "BF16") for values in (base, base + noise))
    fast, slow = counted_twice(old, new)
    assert fast.counts.sum() == slow.counts.sum() == size


def counted_twice(old: np.ndarray, new: np.ndarray) -> list[Drained]:
    """The counts, equal on both backends."""
    drained = []
    for kernels in (NUMBA, TORCH):
        tally = Tally()
        kernels.histogram(old, new, tally)
        drained.append(kernels.drain(tally))
    for part in ("words", "counts", "places"):
        fast, slow = (getattr(counts, part) for counts in drained)
        assert fast.tobytes() == slow.tobytes()
    sizes = np.abs(to_float32(new, "BF16") - to_float32(old, "BF16")).view(np.uint32)
    if drained[0].inside is not None:
        assert np.array_equal(np.sort(drained[0].inside), np.sort(sizes[sizes & 0x3FFF > 0]))
    return drained


def test_blocks_in_and_out_of_the_usual_range_are_counted_together() -> None:
    scale = np.repeat(np.array([1.0, 1e-25, 1e-3, 1e20], np.float32), 5000)
    base = RNG.normal(size=scale.size).astype(np.float32) * scale
    old, new = from_float32(base, "BF16"), from_float32(base * np.float32(1.1), "BF16")
    assert counted_twice(old, new)[0].counts.sum() == scale.size
