"""Golden numbers of the merge methods, worked out by hand or from the papers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dppa_core.errors import InvalidValue, UnknownName
from dppa_core.merging.merger import open_merger
from dppa_core.methods.darex_q import DarexQParameters
from dppa_core.methods.registry import get_method, method_names
from dppa_core.methods.shared.treatment import RandomDrop, Request
from dppa_core.pruning.floats import to_float32
from dppa_core.pruning.module_groups import Module
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, Override
from tests.helpers.tiny_models import Shape, TinyLlama, write_file

A = [0.9, -0.4, 0.1, 0.5, -0.2, 0.05]
B = [-0.35, -0.6, 0.2, 0.4, 0.3, -0.08]
MODULE = "model.layers.0.mlp.up_proj.weight"
NORM = "model.norm.weight"


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Models of one module and one norm whose base is zero, so that merged = sum of deltas."""
    for name, values in (("base", [0.0] * 6), ("a", A), ("b", B)):
        folder = tmp_path / name
        folder.mkdir()
        TinyLlama(Shape()).save(folder, dtype="F32")
        arrays = {
            MODULE: np.array([values], np.float32),
            NORM: np.full(3, 0.0 if name == "base" else 1.0, np.float32),
        }
        write_file(folder / "model.safetensors", arrays, "F32")
    return tmp_path


def merged(recipe: MergeRecipe, name: str = MODULE) -> np.ndarray:
    dtype, _, raw = open_merger(recipe).tensor(name)
    return to_float32(raw, dtype)


def recipe_of(root: Path, method: str, *models: DomainModel, **rest: object) -> MergeRecipe:
    return MergeRecipe(str(root / "base"), models, method, dtype="float32", **rest)  # type: ignore[arg-type]


def test_task_arithmetic(vectors: Path) -> None:
    models = [DomainModel(str(vectors / name), coefficient=0.5) for name in ("a", "b")]
    result = merged(recipe_of(vectors, "task_arithmetic", *models))
    np.testing.assert_allclose(result, [0.275, -0.5, 0.15, 0.45, 0.05, -0.015], rtol=1e-6)


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ((1.8, 0.0), [1.62, 0, 0, 0, 0, 0]),
        ((1.8, 1.0), [1.62, 0, 0, 0.5, 0, 0]),
        # By the paper's formula; the authors' program lifts the core to 1.8 as well.
        ((1.8, 2.0), [1.62, 0, 0, 1.0, 0, 0]),
    ],
)
@pytest.mark.parametrize("method", ["magnitude", "dppa"])
def test_amplified_partitions(
    vectors: Path, method: str, factors: tuple[float, ...], expected: list[float]
) -> None:
    """Core {0} and ring {3} are the partitions of one and two elements of six."""
    model = DomainModel(str(vectors / "a"), (5 / 6, 4 / 6), factors)
    result = merged(recipe_of(vectors, method, model))
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_dare_scales_survivors_by_ten_at_90_percent(vectors: Path) -> None:
    values = np.random.default_rng(0).normal(size=(100, 1000)).astype(np.float32)
    for name, array in (("base", np.zeros_like(values)), ("a", values)):
        write_file(vectors / name / "model.safetensors", {MODULE: array}, "F32")
    result = merged(recipe_of(vectors, "dare", DomainModel(str(vectors / "a"), (0.9,))))
    kept = result != 0
    np.testing.assert_allclose(result[kept], 10 * values.ravel()[kept], rtol=1e-6)
    assert kept.mean() == pytest.approx(0.1, abs=0.003)


def test_dare_draws_anew_for_every_seed_and_model(vectors: Path) -> None:
    ones = np.ones((50, 50), np.float32)
    for name in ("base", "a", "b"):
        write_file(vectors / name / "model.safetensors", {MODULE: ones * (name != "base")}, "F32")

    def mask(name: str, seed: int) -> np.ndarray:
        model = DomainModel(str(vectors / name), (0.5,))
        return merged(recipe_of(vectors, "dare", model, seed=seed)) != 0

    assert (mask("a", 0) == mask("a", 0)).all()
    for different in (mask("a", 1), mask("b", 0)):
        assert (mask("a", 0) == different).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("method", "choice", "expected"),
    [
        ("dppa", "keep", 1.0),
        ("dppa", "drop", 0.0),
        ("magnitude", "keep", 1.0),
        ("magnitude", "drop", 0.0),
        ("dare", "keep", 1.0),
        ("dare", "drop", 0.0),
    ],
)
def test_other_tensors_are_kept_or_dropped(
    vectors: Path, method: str, choice: str, expected: float
) -> None:
    model = DomainModel(str(vectors / "a"), (0.5,), (3.0,))
    recipe = recipe_of(vectors, method, model, parameters={"other_tensors": choice})
    assert merged(recipe, NORM).tolist() == [expected] * 3


def test_other_tensors_are_pruned_as_modules_of_their_own(vectors: Path) -> None:
    write_file(
        vectors / "a" / "model.safetensors",
        {MODULE: np.array([A], np.float32), NORM: np.array([3, 1, 2], np.float32)},
        "F32",
    )
    model = DomainModel(str(vectors / "a"), (2 / 3, 1 / 3), (2.0, 1.0))
    recipe = recipe_of(vectors, "dppa", model, parameters={"other_tensors": "prune"})
    assert merged(recipe, NORM).tolist() == [6, 0, 2]


def test_overrides_reach_modules_in_every_pruning_method(vectors: Path) -> None:
    overrides = {"layers.0.mlp.up_proj": Override(1.0)}
    for method in ("dppa", "magnitude", "dare"):
        model = DomainModel(str(vectors / "a"), (0.5,))
        assert not merged(recipe_of(vectors, method, model, overrides=overrides)).any()


def test_darex_q_amplifies_no_module_more_than_dare_does() -> None:
    module = Module("layers.0.up", "layers.0.up.weight", 0, "up", 8, (2, 4))
    less = Request((module,), (0.9,), (2.0,), overrides={"layers.0.up": Override(0.7)})
    darex_q, settings = get_method("darex_q").treat, DarexQParameters
    assert darex_q is not None
    assert darex_q(less, settings(0.3)).modules[module.tensor] == RandomDrop(0.7, 2 / 0.3)
    with pytest.raises(InvalidValue, match=r"survives, 0.3, got 0.2.*the rate of layers.0.up"):
        darex_q(less, settings(0.2))
    with pytest.raises(InvalidValue, match="survives, 0.1, got 0.05.*the pruning rate"):
        darex_q(replace(less, overrides={}), settings(0.05))


def test_methods_are_found_by_name() -> None:
    assert method_names()[:5] == ("dppa", "magnitude", "owl", "dare", "darex_q")
    assert all(get_method(name).name == name for name in method_names())
    with pytest.raises(UnknownName, match="Did you mean 'dppa'"):
        get_method("dpa")


def test_owl_gives_all_modules_of_a_layer_one_density(zoo_env: Path) -> None:
    plans = [
        open_merger(MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,)),), method)).plan.plans[
            0
        ]
        for method in ("owl", "dppa")
    ]
    owl, dppa = ({(m.layer, m.kind): m.density for m in plan.modules} for plan in plans)
    by_layer = [{d for (layer, _), d in owl.items() if layer == number} for number in (0, 1)]
    assert all(len(densities) == 1 for densities in by_layer) and by_layer[0] != by_layer[1]
    assert len(set(dppa.values())) > 2
    assert plans[0].density == pytest.approx(0.2, abs=1e-3)
