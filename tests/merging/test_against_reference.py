"""The plan and the merge against a slow reference written from the specification alone."""

from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.merging.merger import open_merger
from dppa_core.profiling.profile import profile_delta
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.floats import to_float32
from dppa_core.pruning.plan import PruningPlan, plan_pruning
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.tiny_models import Shape, TinyLlama, random_llama, tuned_llama
from tests.reference import slow

RATES = (0.5, 0.8, 0.9, 0.97)
SHAPE = Shape(layers=3, hidden=48, intermediate=80)


@pytest.fixture(scope="module", params=["F32", "BF16", "F16"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base, math and law of one dtype."""
    root = tmp_path_factory.mktemp(request.param)
    base = random_llama(3, SHAPE)
    base.save(root / "base", dtype=request.param)
    for seed, name in enumerate(("math", "law")):
        tuned_llama(base, seed + 10).save(root / name, dtype=request.param)
    return root


def planned(root: Path, levels: tuple[float, ...], ties: str) -> PruningPlan:
    base, tuned = (SafetensorsCheckpoint(root / name) for name in ("base", "math"))
    return plan_pruning(profile_delta(base, tuned), levels, PruningParameters(ties=ties))


def assert_same_plan(plan: PruningPlan, reference: list[slow.Planned]) -> None:
    assert [m.name for m in plan.modules] == [r.module.name for r in reference]
    for module, expected in zip(plan.modules, reference, strict=True):
        assert module.density == pytest.approx(expected.densities[-1], abs=1e-12)
        for level, density, mask in zip(
            module.levels, expected.densities, expected.masks, strict=True
        ):
            assert level.kept == mask.sum()
            assert level.threshold == slow.threshold(expected.module, density)
        kept, d = expected.masks[-1], expected.module.d.astype(np.float64)
        assert module.energy == pytest.approx((d[kept] ** 2).sum() / (d**2).sum(), rel=1e-9)
        assert module.significance == slow.outliers(expected.module.d, 5.0)


@pytest.mark.cases(8)
@pytest.mark.parametrize("ties", ["exact", "prune"])
@pytest.mark.parametrize("rate", RATES)
def test_a_plan_equals_the_slow_reference(pair: Path, rate: float, ties: str) -> None:
    reference = slow.plan(slow.read(pair / "base"), slow.read(pair / "math"), [rate], ties=ties)
    assert_same_plan(planned(pair, (rate,), ties), reference)


@pytest.mark.parametrize("scaling", ["mean", "reversed"])
def test_a_plan_of_another_scaling_equals_the_slow_reference(pair: Path, scaling: str) -> None:
    profile = profile_delta(*(SafetensorsCheckpoint(pair / name) for name in ("base", "math")))
    plan = plan_pruning(profile, (0.9,), PruningParameters(scaling=scaling))
    weights = slow.read(pair / "base"), slow.read(pair / "math")
    assert_same_plan(plan, slow.plan(*weights, [0.9], scaling=scaling))


def test_levels_share_their_adjustments(pair: Path) -> None:
    levels = (0.97, 0.9, 0.8, 0.5, 0.1)
    reference = slow.plan(slow.read(pair / "base"), slow.read(pair / "math"), levels)
    assert_same_plan(planned(pair, levels, "exact"), reference)


@pytest.mark.parametrize("ties", ["exact", "prune"])
@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_a_merge_equals_the_slow_reference_bit_by_bit(pair: Path, backend: str, ties: str) -> None:
    models = (
        DomainModel(str(pair / "math"), (0.9, 0.8), (1.6, 1.0), 0.7),
        DomainModel(str(pair / "law"), (0.95, 0.9, 0.5), (0.0, 1.3, 0.9), 1.0),
    )
    recipe = MergeRecipe(str(pair / "base"), models, parameters={"ties": ties}, dtype="float32")
    treated = [
        slow.Treated(slow.read(Path(m.model)), m.levels, m.amplification, float(m.coefficient))  # type: ignore[arg-type]
        for m in models
    ]
    expected = slow.merge(slow.read(pair / "base"), treated, ties=ties)
    merger = open_merger(recipe, backend=backend)
    for name in merger.names():
        dtype, shape, raw = merger.tensor(name)
        values = to_float32(raw, dtype).reshape(shape)
        np.testing.assert_array_equal(values, expected.arrays[name], name)


@pytest.mark.parametrize("rate", RATES)
def test_pruned_ties_are_the_elements_of_the_specification(tmp_path: Path, rate: float) -> None:
    """Element by element on float32 deltas: kept iff strictly above the threshold."""
    base = random_llama(5, SHAPE)
    zero = TinyLlama(base.shape, {n: np.zeros_like(w) for n, w in base.arrays.items()})
    zero.save(tmp_path / "base", dtype="F32")  # so that the merged weights are the kept delta
    base.save(tmp_path / "tuned", dtype="F32")
    recipe = MergeRecipe(
        str(tmp_path / "base"),
        (DomainModel(str(tmp_path / "tuned"), (rate,)),),
        parameters={"ties": "prune"},
        dtype="float32",
    )
    merger = open_merger(recipe)
    reference = slow.plan(
        slow.read(tmp_path / "base"), slow.read(tmp_path / "tuned"), [rate], ties="prune"
    )
    for expected in reference:
        kept = merger.tensor(expected.module.tensor)[2] != 0
        assert (kept == expected.masks[-1]).all()


@pytest.fixture(scope="module", params=["math", "finance", "law"])
def embedded(
    request: pytest.FixtureRequest,
) -> tuple[slow.Weights, slow.Weights, DeltaProfile]:
    """The embedded pairs, as they lie in the repository, and their profiles."""
    base, tuned = (open_checkpoint(f"zoo:{name}") for name in ("base", request.param))
    return slow.read(base.folder), slow.read(tuned.folder), profile_delta(base, tuned)


@pytest.mark.cases(6)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("ties", ["exact", "prune"])
def test_the_plan_of_an_embedded_pair_equals_the_slow_reference(
    embedded: tuple[slow.Weights, slow.Weights, DeltaProfile], rate: float, ties: str
) -> None:
    base, tuned, profile = embedded
    plan = plan_pruning(profile, (rate,), PruningParameters(ties=ties))
    assert_same_plan(plan, slow.plan(base, tuned, [rate], ties=ties))
    if ties == "exact":
        assert plan.density == pytest.approx(1 - rate, abs=1e-4)
