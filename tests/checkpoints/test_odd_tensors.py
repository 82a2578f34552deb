"""Unusual tensors that files may hold: empty ones, scalars, counters."""

from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.profiling.profile import profile_delta
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.tiny_models import TinyLlama, random_llama, tuned_llama

ODD = {
    "model.layers.0.mlp.extra_proj.weight": np.zeros((0, 32), np.float32),
    "model.empty": np.zeros((3, 0), np.float32),
    "model.scale": np.float32(2.0).reshape(()),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    base = random_llama(0)
    for name, model in (("base", base), ("math", tuned_llama(base, 1))):
        TinyLlama(model.shape, {**model.arrays, **ODD}).save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("method", "others"),
    [(m, o) for m in ("dppa", "magnitude", "dare") for o in ("keep", "prune", "drop")]
    + [("task_arithmetic", None)],
)
def test_empty_tensors_and_scalars_pass_through_a_merge(
    root: Path, method: str, others: str | None
) -> None:
    model = DomainModel(str(root / "math"), (0.5,) if others else (0.0,))
    parameters = {"other_tensors": others} if others else {}
    recipe = MergeRecipe(str(root / "base"), (model,), method, parameters)
    for backend in ("numba", "torch"):
        merged = open_merger(recipe, backend=backend)
        for name, array in ODD.items():
            assert merged.tensor(name)[1] == array.shape
            assert merged.tensor(name)[2].size == array.size
    merge_to_folder(recipe, root / "out")
    assert set(SafetensorsCheckpoint(root / "out").names()) >= set(ODD)


def test_a_profile_counts_empty_tensors_as_nothing(root: Path) -> None:
    pair = SafetensorsCheckpoint(root / "base"), SafetensorsCheckpoint(root / "math")
    profile = profile_delta(*pair)
    assert all(module.numel for module in profile.modules)
    assert len(profile.modules) == 14
