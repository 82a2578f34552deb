"""Profiles: exact or binned, cached, and the tables made from them."""

import base64
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints import chunks
from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.chunks import Loader, TensorPair
from dppa_core.errors import Cancelled
from dppa_core.kernels import BACKENDS, get_backend
from dppa_core.merging.merger import open_merger
from dppa_core.profiling import binning
from dppa_core.profiling import profile as profiling
from dppa_core.profiling.binning import profile_tensor
from dppa_core.profiling.profile import cached_profile, profile_delta, profile_deltas
from dppa_core.profiling.reader import TunedModel
from dppa_core.pruning.delta_profile import DeltaProfile, ModuleProfile
from dppa_core.pruning.floats import from_float32, to_float32
from dppa_core.pruning.partition import select
from dppa_core.pruning.plan import plan_pruning
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.pruning.rate_table import RateTable, pack_table, rate_table
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.folder_cache import cache_folder
from tests.helpers.random_profiles import module, profile_of
from tests.helpers.tiny_models import random_llama, tuned_llama


def pair(zoo: Path) -> tuple[SafetensorsCheckpoint, SafetensorsCheckpoint]:
    return SafetensorsCheckpoint(zoo / "base"), SafetensorsCheckpoint(zoo / "math")


def test_a_profile_counts_every_element_once(tiny_zoo: Path) -> None:
    base, tuned = pair(tiny_zoo)
    profile = profile_delta(base, tuned)
    assert len(profile.modules) == 14
    for item in profile.modules:
        name = item.module.tensor
        weight = to_float32(base.raw(name), "BF16").astype(np.float64)
        size = np.abs(to_float32(tuned.raw(name), "BF16") - to_float32(base.raw(name), "BF16"))
        assert item.numel == item.module.numel == size.size and item.exact
        assert item.mean == pytest.approx(size.astype(np.float64).mean(), rel=1e-12)
        assert item.delta_square == pytest.approx((size.astype(np.float64) ** 2).sum(), rel=1e-12)
        assert item.base_square == pytest.approx((weight**2).sum(), rel=1e-12)
        assert item.nonzero == np.count_nonzero(size)
        np.testing.assert_array_equal(item.magnitudes, np.unique(size))
    others = sum(base.raw(n).size for n in base.names()) - sum(m.numel for m in profile.modules)
    assert profile.other_tensors == others


def test_a_binned_profile_says_nearly_the_same(
    tiny_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = profile_delta(*pair(tiny_zoo))
    monkeypatch.setattr(binning, "EXACT_NUMEL", 0)
    binned = profile_delta(*pair(tiny_zoo))
    for fine, coarse in zip(exact.modules, binned.modules, strict=True):
        assert not coarse.exact and coarse.numel == fine.numel
        assert coarse.mean == pytest.approx(fine.mean, rel=1e-9)
        assert coarse.delta_square == pytest.approx(fine.delta_square, rel=1e-9)
    exact_plan, coarse_plan = (plan_pruning(p, (0.9, 0.8)) for p in (exact, binned))
    assert coarse_plan.density == pytest.approx(exact_plan.density, abs=1e-4)
    assert coarse_plan.energy == pytest.approx(exact_plan.energy, abs=0.01)


def weights_of(dtype: str, numel: int) -> tuple[TensorPair, np.ndarray]:
    """Weights like a model's, with a heavy-tailed delta of 5 %; and their |d|."""
    rng = np.random.default_rng(0)
    base = from_float32(rng.normal(size=numel).astype(np.float32) * np.float32(0.02), dtype)
    step = rng.standard_t(4, numel).astype(np.float32) * np.float32(0.001)
    tuned = from_float32(to_float32(base, dtype) + step, dtype)
    pair = TensorPair("t", base, dtype, tuned, dtype)
    return pair, np.abs(to_float32(tuned, dtype) - to_float32(base, dtype))


@pytest.mark.parametrize(("dtype", "error"), [("BF16", 2), ("F16", 30), ("F32", 30)])
def test_significance_from_bins_is_that_of_the_elements(dtype: str, error: int) -> None:
    """In bfloat16, all elements at a bin's edge are separated from those inside."""
    pair, size = weights_of(dtype, 300_000)
    item = profile_tensor(Loader(get_backend("numba")), module(0, size.size), pair)
    assert not item.exact
    assert item.mean == pytest.approx(size.mean(dtype=np.float64), rel=1e-9)
    for multiple in np.linspace(0.1, 9, 50):
        magnitude = multiple * item.mean
        assert abs(item.count_above(magnitude) - np.count_nonzero(size > magnitude)) <= error


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_thresholds_from_bins_are_those_of_the_elements(dtype: str) -> None:
    pair, size = weights_of(dtype, 300_000)
    item = profile_tensor(Loader(get_backend("numba")), module(0, size.size), pair)
    ordered = np.sort(size)
    ranks = np.arange(0, size.size, 997)
    for rank in ranks:
        selection = select(item, 1 - (rank + 0.5) / size.size)
        assert selection.rank == rank and selection.low <= ordered[rank] < selection.high
        assert selection.threshold == pytest.approx(ordered[rank], rel=2**-9)


def test_slices_add_up_to_the_same_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = Loader(get_backend("numba"))
    pair, size = weights_of("BF16", 300_000)
    whole = profile_tensor(loader, module(0, size.size), pair)
    monkeypatch.setattr(chunks, "SLICE", 1 << 17)
    sliced = profile_tensor(loader, module(0, size.size), pair)
    for name in ("magnitudes", "counts", "excess"):
        assert getattr(whole, name).tobytes() == getattr(sliced, name).tobytes()
    assert sliced.base_square == pytest.approx(whole.base_square, rel=1e-14)


def test_a_profile_is_kilobytes() -> None:
    pair, size = weights_of("F32", 1 << 20)
    item = profile_tensor(Loader(get_backend("numba")), module(0, size.size), pair)
    assert sum(a.nbytes for a in (item.magnitudes, item.counts, item.excess)) < 250_000


def test_both_backends_make_the_same_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "RUN", 1 << 17)
    pair, size = weights_of("BF16", 300_000)
    first, second = (
        profile_tensor(Loader(get_backend(name)), module(0, size.size), pair) for name in BACKENDS
    )
    for name in ("magnitudes", "counts", "excess"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    assert first.base_square == second.base_square


@pytest.mark.parametrize("ties", ["exact", "prune"])
@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_a_merge_from_a_binned_profile_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ties: str, dtype: str
) -> None:
    """The threshold is refined inside its bin, so that with equal densities the bytes agree."""
    base = random_llama(0)
    base.save(tmp_path / "base", dtype=dtype)
    tuned_llama(base, 1).save(tmp_path / "math", dtype=dtype)
    recipe = MergeRecipe(
        str(tmp_path / "base"),
        (DomainModel(str(tmp_path / "math"), (0.9, 0.8), (1.5, 1.0)),),
        "magnitude",  # densities that depend on no profile
        {"ties": ties, "other_tensors": "prune"},
    )
    exact = open_merger(recipe)
    monkeypatch.setattr(binning, "EXACT_NUMEL", 0)
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    binned = [open_merger(recipe, backend=backend) for backend in ("numba", "torch")]
    for name in exact.names():
        expected = exact.tensor(name)[2].tobytes()
        assert [m.tensor(name)[2].tobytes() for m in binned] == [expected] * 2, name


def test_a_profile_is_kept_by_the_hash_of_the_weights(
    zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    first = cached_profile("zoo:base", "zoo:math")
    monkeypatch.setattr(profiling, "profile_delta", None)  # must not be needed again
    copy = str(shutil.copytree(zoo_env / "math", tmp_path / "elsewhere"))  # other path, other times
    again = cached_profile("zoo:base", copy)
    assert again.finetuned == copy and first.finetuned == "zoo:math"
    for item, same in zip(first.modules, again.modules, strict=True):
        assert item.module == same.module and item.base_square == same.base_square
        np.testing.assert_array_equal(item.magnitudes, same.magnitudes)
        np.testing.assert_array_equal(item.energy_from, same.energy_from)


def test_a_damaged_cache_entry_is_made_again(
    zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    cached_profile("zoo:base", "zoo:math")
    (entry,) = cache_folder("profiles").iterdir()
    whole = entry.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1  # of a magnitude: an array like any other
    older = whole[16:]
    for damage in (b"", whole[:1000], whole[:-1], b"x" * 1000, bytes(flipped), older):
        entry.write_bytes(damage)
        assert len(cached_profile("zoo:base", "zoo:math").modules) == 14
        assert entry.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_passed_over(
    zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "file"))
    assert len(cached_profile("zoo:base", "zoo:math").modules) == 14


def test_the_cache_stays_in_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dppa_core.system import folder_cache as cache  # noqa: PLC0415 (to change its bound)

    monkeypatch.setattr(cache, "MAX_CACHE_BYTES", 60)
    for name in ("a", "b", "c", "d"):
        cache.store(tmp_path / name, b"x" * 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "d"]


def test_models_are_profiled_together_as_they_are_alone(tiny_zoo: Path) -> None:
    base = SafetensorsCheckpoint(tiny_zoo / "base")
    tuned = [TunedModel(SafetensorsCheckpoint(tiny_zoo / name), name) for name in ("math", "law")]
    for model, profile in zip(tuned, profile_deltas(base, tuned, "base", workers=2), strict=True):
        alone = profile_delta(base, model.checkpoint, names=("base", model.name))
        assert (profile.finetuned, profile.other_tensors) == (model.name, alone.other_tensors)
        for item, same in zip(profile.modules, alone.modules, strict=True):
            assert item.module == same.module and item.base_square == same.base_square
            for name in ("magnitudes", "counts", "excess"):
                np.testing.assert_array_equal(getattr(item, name), getattr(same, name))


def test_profiling_reports_and_stops(tiny_zoo: Path) -> None:
    reports: list[tuple[int, int, str]] = []
    profile_delta(*pair(tiny_zoo), progress=lambda *now: reports.append(now))
    assert [number for number, _, _ in reports] == list(range(15))
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        profile_delta(*pair(tiny_zoo), stop=stop)


def unpack(array: dict) -> np.ndarray:  # type: ignore[type-arg]
    """As on the page."""
    dtype = {"u8": "u1", "f32": "<f4"}[array["dtype"]]
    codes = np.frombuffer(base64.b64decode(array["data"]), dtype).reshape(array["shape"])
    codes = codes.cumsum(axis=-1, dtype=np.int64) if array["steps"] else codes
    return array["offset"] + array["scale"] * codes


def table_of(zoo: Path) -> tuple[DeltaProfile, RateTable]:
    profile = profile_delta(*pair(zoo))
    return profile, rate_table(profile, PruningParameters(strength=0.05))


@pytest.mark.parametrize("percent", [0, 37, 80, 97, 99])
def test_a_table_says_what_the_plan_says(tiny_zoo: Path, percent: int) -> None:
    profile, table = table_of(tiny_zoo)
    plan = plan_pruning(profile, (percent / 100,), PruningParameters(strength=0.05))
    for module_plan in plan.modules:
        layer, kind = module_plan.layer, table.kinds.index(module_plan.kind)
        cell = layer, kind, percent
        assert table.density[cell] == pytest.approx(module_plan.density, abs=1e-6)
        assert table.energy[cell] == pytest.approx(module_plan.energy, abs=1e-5)
        assert table.significance[cell[:2]] == module_plan.significance
        kept = min(table.density[cell], table.nonzero[cell[:2]])
        assert kept == pytest.approx(module_plan.kept / module_plan.numel, abs=2e-3)
    thresholds = np.percentile([m.threshold for m in plan.modules], [10, 50, 90])
    np.testing.assert_allclose(table.thresholds[:, percent], thresholds, rtol=1e-6)
    kept_by_bin = (table.kept_histogram[:, percent] * table.histogram).sum()
    assert kept_by_bin == pytest.approx(plan.kept, rel=1e-3)


def test_a_packed_table_comes_back(tiny_zoo: Path) -> None:
    _, table = table_of(tiny_zoo)
    packed = pack_table(table)
    for name in ("density", "energy", "kept_histogram"):
        np.testing.assert_allclose(unpack(packed[name]), getattr(table, name), atol=2e-3)
    for name in ("significance", "mean_magnitude", "edges", "histogram", "thresholds"):
        np.testing.assert_allclose(unpack(packed[name]), getattr(table, name), rtol=1e-6)


def test_a_packed_table_of_32_layers_is_below_100_kb() -> None:
    import json  # noqa: PLC0415 (here only)

    rng = np.random.default_rng(0)
    kinds = ("q", "k", "v", "o", "gate", "up", "down")
    modules = []
    for index in range(32 * 7):
        item = profile_of(rng.standard_t(4, 500).astype(np.float32), index)
        spot = module(index, 500)
        object.__setattr__(spot, "layer", index // 7)
        object.__setattr__(spot, "kind", kinds[index % 7])
        object.__setattr__(item, "module", spot)
        modules.append(item)
    table = rate_table(DeltaProfile("b", "t", tuple(modules), 0))
    assert table.density.shape == (32, 7, 101)
    assert len(json.dumps(pack_table(table))) < 100_000


def test_the_relative_change_of_a_cell_is_that_of_its_modules_together() -> None:
    """Two experts in one cell, deltas (3, 4) and (0, 12), bases of squares 4 and 165."""
    modules = [
        ModuleProfile(module(0, 2), np.array([3, 4], np.float32), *_ones(2), 4.0),
        ModuleProfile(module(0, 2), np.array([0, 12], np.float32), *_ones(2), 165.0),
    ]
    table = rate_table(DeltaProfile("b", "t", tuple(modules), 0))
    assert table.squares.tolist() == [[169]]
    assert table.relative.tolist() == [[1.0]]


def _ones(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(size, np.int64), np.zeros(size, np.float32)


def test_a_cell_without_a_module_is_marked() -> None:
    rng = np.random.default_rng(0)
    modules = tuple(profile_of(rng.normal(size=50).astype(np.float32), i) for i in range(3))
    table = rate_table(DeltaProfile("b", "t", modules, 0))
    assert table.kinds == ("q", "up") and table.layers == (0, 1)
    assert table.numel.tolist() == [[50, 50], [0, 50]]
    assert np.isnan(table.density[1, 0]).all() and np.isnan(table.significance[1, 0])


def test_the_mean_of_an_open_bin_counts_steps_of_float32() -> None:
    tiny, step = 2.0**-149, 2.0**-23
    low = np.array([0, tiny, 2.0**-126, 1, 1.5, 65504], np.float32)
    item = ModuleProfile(
        module(0, low.size), low, np.ones(6, np.int64), np.full(6, 2, np.float32), 1.0
    )
    steps = [tiny, tiny, tiny, step, step, step * 2**15]
    assert item.means.tolist() == [float(a) + 2 * b for a, b in zip(low, steps, strict=True)]
    assert steps == np.spacing(low).tolist()
