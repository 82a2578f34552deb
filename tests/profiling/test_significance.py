"""Elements ranked by scores other than |d|: against the slow reference, and by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.checkpoints import chunks
from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.chunks import Loader, TensorPair
from dppa_core.errors import NonFiniteWeights
from dppa_core.kernels import BACKENDS, get_backend
from dppa_core.merging.passes.chunk_pass import ChunkPass
from dppa_core.merging.passes.deltas import PlannedDelta, TensorStack, fix_treatment
from dppa_core.methods.shared.treatment import Banded
from dppa_core.profiling import binning
from dppa_core.profiling.binning import profile_tensor
from dppa_core.profiling.cache import load_profile, profile_entry, save_profile
from dppa_core.profiling.calibration.statistics import Statistics
from dppa_core.profiling.profile import profile_delta
from dppa_core.profiling.significance import RANDOM, AtRandom, ByElement, ByInput, Score, Scoring
from dppa_core.pruning.partition import select
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.pruning.rate_table import rate_table
from dppa_core.pruning.tie_breaking import tensor_seed
from tests.helpers.random_profiles import deltas, module
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama
from tests.reference import slow

SHAPE = Shape(layers=3, hidden=48, intermediate=80)
SMALLEST = np.finfo(np.float32).tiny
RNG = np.random.default_rng(1)
SHAPES = {m: s for m, s in SHAPE.tensors().items() if "proj" in m}
FISHER = {
    name: (RNG.standard_t(2, shape) ** 2).astype(np.float32) for name, shape in SHAPES.items()
}
NORMS = {name: RNG.lognormal(size=shape[1]).astype(np.float32) for name, shape in SHAPES.items()}


@pytest.fixture(scope="module", params=["F32", "BF16"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp(request.param)
    base = random_llama(3, SHAPE)
    base.save(root / "base", dtype=request.param)
    tuned_llama(base, 10).save(root / "math", dtype=request.param)
    return root


def opened(root: Path) -> tuple[SafetensorsCheckpoint, SafetensorsCheckpoint]:
    return SafetensorsCheckpoint(root / "base"), SafetensorsCheckpoint(root / "math")


def given_score(kind: str) -> Score:
    """The score of the statistics above."""
    if kind == "random":
        return RANDOM
    if kind == "fisher":
        flat = {name: values.ravel() for name, values in FISHER.items()}
        return Statistics("fisher", "f", flat, {}, 0.0).score(SHAPES)
    return Statistics("norms", "a", NORMS, dict.fromkeys(NORMS, 1), 0.0).score(SHAPES)


def slow_score(kind: str) -> slow.Score:
    """The same from the specification only."""

    def score(delta: slow.Delta) -> np.ndarray:
        if kind == "random":
            hashes = slow.order_among_ties("random\0" + delta.tensor, delta.n) >> np.uint64(40)
            values = ((hashes + np.uint64(1)) / 2**24).astype(np.float32)
        elif kind == "fisher":
            values = np.sqrt(FISHER[delta.tensor]).ravel() * np.abs(delta.d)
        else:
            rows = np.abs(delta.d).reshape(SHAPES[delta.tensor]) * NORMS[delta.tensor]
            values = rows.ravel()
        return np.where(delta.d == 0, np.float32(0), np.maximum(values, SMALLEST))

    return score


@pytest.mark.parametrize("kind", ["fisher", "activation", "random"])
@pytest.mark.parametrize("ties", ["exact", "prune"])
def test_a_plan_equals_the_slow_reference(pair: Path, kind: str, ties: str) -> None:
    levels = (0.97, 0.8, 0.3)
    profile = profile_delta(*opened(pair), score=given_score(kind))
    plan = plan_pruning(profile, levels, PruningParameters(ties=ties, significance=kind))
    weights = slow.read(pair / "base"), slow.read(pair / "math")
    reference = slow.plan(*weights, levels, ties=ties, score=slow_score(kind))
    true = {m.tensor: m.d.astype(np.float64) for m in slow.deltas(*weights)}
    assert [m.name for m in plan.modules] == [r.module.name for r in reference]
    for planned, expected in zip(plan.modules, reference, strict=True):
        d = true[expected.module.tensor]
        assert planned.density == pytest.approx(expected.densities[-1], abs=1e-12)
        assert planned.significance == slow.outliers(expected.module.d, 5.0)
        assert planned.mean_magnitude == pytest.approx(np.abs(d).mean(), rel=1e-12)
        assert [level.kept for level in planned.levels] == [m.sum() for m in expected.masks]
        share = (d[expected.masks[-1]] ** 2).sum() / (d**2).sum()
        if ties == "prune" or kind != "random":  # of equal scores a plan has only the mean
            assert planned.energy == pytest.approx(share, rel=2e-3)


@pytest.mark.parametrize("kind", ["fisher", "activation", "random"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_merge_equals_the_slow_reference_bit_by_bit(pair: Path, kind: str, backend: str) -> None:
    """Ranked by the score; a kept element keeps its delta."""
    base, tuned = opened(pair)
    score, loader = given_score(kind), Loader(get_backend(backend))
    levels, factors = (0.9, 0.8), (1.6, 0.7)
    plan = plan_pruning(profile_delta(base, tuned, score=score), levels)
    treated = slow.Treated(slow.read(pair / "math"), levels, factors, 0.7)
    expected = slow.merge(slow.read(pair / "base"), [treated], score=slow_score(kind))
    for pruned in plan.modules:
        name = f"model.{pruned.name}.weight"
        both = TensorPair(
            name, base.raw(name), base.dtype(name), tuned.raw(name), tuned.dtype(name)
        )
        bands = Banded(tuple(level.selection for level in pruned.levels), factors)
        planned = PlannedDelta(both, "m", bands, 0.7)
        delta = fix_treatment(loader, planned, "b", 0, score.scoring_of(name, name))
        assert delta is not None and delta.kept == pruned.kept
        stack = TensorStack(name, (both.numel,), both.base, both.base_dtype, "F32", (delta,))
        merged = ChunkPass(loader).merge(stack, 0, both.numel)
        np.testing.assert_array_equal(merged.reshape(SHAPES[name]), expected.arrays[name], name)


def test_scores_by_hand() -> None:
    base = np.array([1, 1, 1, 1, 1, 1], np.float32)
    tuned = np.array([2, -1, 1, 1.5, 3, 1], np.float32)  # d = 1, -2, 0, 0.5, 2, 0

    def scores(scoring: Scoring) -> list[float]:
        out = np.zeros(6, np.float32)
        scoring.score(get_backend("numba"), base, tuned, 0, out)
        return out.tolist()

    importance = np.array([4, 1, 9, 16, 0.25, 0], np.float32)
    assert scores(ByElement(importance)) == [2, 2, 0, 2, 1, 0]
    norms = np.array([3, 1, 2], np.float32)  # rows of three: a column for each input
    assert scores(ByInput(norms, 1)) == [3, 2, 0, 1.5, 2, 0]
    assert scores(ByInput(norms, 2)) == [3, 6, 0, 0.5, 4, 0]  # GPT-2: a row of two for each input


@pytest.mark.parametrize("run", [1, 3])
def test_inputs_are_found_from_any_place(run: int) -> None:
    norms = np.arange(1, 6, dtype=np.float32)
    whole, part = np.zeros(60, np.float32), np.zeros(7, np.float32)
    kernels = get_backend("numba")
    zeros, ones = np.zeros(60, np.float32), np.ones(60, np.float32)
    ByInput(norms, run).score(kernels, zeros, ones, 0, whole)
    for start in range(50):
        ByInput(norms, run).score(kernels, zeros[:7], ones[:7], start, part)
        np.testing.assert_array_equal(part, whole[start : start + 7])


def test_what_has_no_weight_is_kept_before_what_never_changed() -> None:
    """At density 1 the whole delta stays, for any text."""
    delta = np.array([0, 1, 2, 0, 3, 4], np.float32)
    none = ByElement(np.zeros(6, np.float32))
    pair = TensorPair("t", np.zeros(6, np.float32), "F32", delta, "F32")
    item = profile_tensor(Loader(get_backend("numba")), module(0, 6), pair, scoring=none)
    assert item.nonzero == 4 and select(item, 1.0).kept == 4
    assert item.delta_square == 30 and item.mean_magnitude == pytest.approx(10 / 6)
    assert select(item, 1.0).energy == 30


@pytest.mark.parametrize("kind", ["fisher", "activation", "random"])
def test_a_profile_is_the_same_however_the_work_is_cut(
    pair: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binning, "EXACT_NUMEL", 0)
    alone = profile_delta(*opened(pair), workers=1, score=given_score(kind))
    monkeypatch.setattr(chunks, "CHUNK", 512)
    together = profile_delta(*opened(pair), workers=3, score=given_score(kind))
    monkeypatch.setattr(chunks, "SLICE", 1024)
    sliced = profile_delta(*opened(pair), workers=3, score=given_score(kind))
    for first, second, third in zip(alone.modules, together.modules, sliced.modules, strict=True):
        for name in ("magnitudes", "counts", "excess", "delta_squares"):
            assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
        np.testing.assert_array_equal(first.counts, third.counts)
        np.testing.assert_allclose(first.delta_squares, third.delta_squares, rtol=1e-13)
        assert first.base_square == second.base_square and first.delta_total == second.delta_total


@given(delta=deltas(), seed=st.integers(0, 2**32 - 1))
def test_levels_nest_and_counts_are_exact(delta: np.ndarray, seed: int) -> None:
    """Whatever the weights: ties, zeros, and outliers among them."""
    rng = np.random.default_rng(seed)
    importance = (rng.integers(0, 4, delta.size) ** 2).astype(np.float32)
    pair = TensorPair("t", np.zeros_like(delta), "F32", delta, "F32")
    loader = Loader(get_backend("numba"))
    for scoring in (ByElement(importance), AtRandom(seed)):
        item = profile_tensor(loader, module(0, delta.size), pair, scoring=scoring)
        assert item.delta_square == pytest.approx((delta.astype(np.float64) ** 2).sum())
        before = np.zeros(delta.size, bool)
        for density in (0.05, 0.3, 0.7, 1.0):
            banded = Banded((select(item, density),), (1.0,))
            planned = PlannedDelta(pair, "m", banded, 1.0)
            treated = fix_treatment(loader, planned, "b", 0, scoring)
            assert treated is not None
            merged = np.zeros_like(delta)
            treated.treatment.add(loader.kernels, merged, pair.base, pair.finetuned, 0)
            kept = merged != 0
            np.testing.assert_array_equal(merged[kept], delta[kept])
            assert kept.sum() == min(round(delta.size * density), np.count_nonzero(delta))
            assert kept.sum() == treated.kept and not (before & ~kept).any()
            before = kept


def test_random_scores_leave_every_module_at_the_mean(pair: Path) -> None:
    """Uniform numbers have no outliers: the control is not dynamic."""
    plan = plan_pruning(profile_delta(*opened(pair), score=RANDOM), (0.8,))
    assert {round(m.density, 12) for m in plan.modules} == {0.2}
    assert plan.energy == pytest.approx(0.2, abs=0.02)


def test_a_table_of_scores_has_the_plans_energy(pair: Path) -> None:
    profile = profile_delta(*opened(pair), score=given_score("fisher"))
    table, parameters = rate_table(profile), PruningParameters()
    plan = plan_pruning(profile, (0.8,), parameters)
    kinds = table.kinds
    for item in plan.modules:
        cell = table.energy[item.layer, kinds.index(item.kind), 80]
        assert cell == pytest.approx(item.energy, abs=5e-3)


def test_a_scored_profile_is_kept_apart_and_comes_back_whole(pair: Path, tmp_path: Path) -> None:
    profile = profile_delta(*opened(pair), score=given_score("activation"))
    save_profile(tmp_path / "p.npz", profile)
    loaded = load_profile(tmp_path / "p.npz", ("base", "domain model"))
    assert loaded is not None
    for left, right in zip(profile.modules, loaded.modules, strict=True):
        for name in ("magnitudes", "counts", "excess", "delta_squares"):
            np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
        assert left.delta_total == right.delta_total and left.module == right.module
    assert len({profile_entry("a", "b", key) for key in ("", "random", "x")}) == 3


def test_a_score_beyond_float32_is_named(pair: Path, tmp_path: Path) -> None:
    base, _ = opened(pair)
    norms = {n: ByInput(np.full(SHAPES[n][1], 3e38, np.float32), 1) for n in SHAPES}
    strong = tuned_llama(random_llama(3, SHAPE), 4, scale=100.0)
    far = SafetensorsCheckpoint(strong.save(tmp_path / "strong", dtype=base.dtype(min(SHAPES))))
    with pytest.raises(NonFiniteWeights, match="or its score, is too large for float32"):
        profile_delta(base, far, score=Score("activation", "k", norms))


def test_another_seed_is_another_order() -> None:
    assert tensor_seed("random", "t") != tensor_seed("t")
    assert RANDOM.scoring_of("t", "elsewhere.t") == AtRandom(tensor_seed("random", "t"))
    assert replace(RANDOM, kind="fisher").scoring_of("t", "t") is None
