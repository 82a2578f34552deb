"""Differences by layer and kind, of checkpoints and merges in memory; differing settings."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import Cancelled
from dppa_core.evaluation.diff.cells import CellDiff, ModelTensors, diff_cells
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.pruning.floats import to_float32
from dppa_core.pruning.pruning_parameters import Override
from dppa_core.recipes.differences import recipe_differences
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, Pruning

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")

MATH = DomainModel("zoo:math", (0.9, 0.8), (1.6, 1.0))
LAW = DomainModel("zoo:law", (0.7,), (1.0,), 0.5)
RECIPE = MergeRecipe("zoo:base", (MATH, LAW))


def compared(*names: str) -> CellDiff:
    return diff_cells([open_checkpoint(name) for name in names], names)


def test_a_merge_in_memory_is_what_its_folder_holds(tmp_path: Path) -> None:
    merge_to_folder(RECIPE, tmp_path / "out", sync=False)
    base, law = open_checkpoint("zoo:base"), open_checkpoint("zoo:law")
    written = diff_cells([SafetensorsCheckpoint(tmp_path / "out"), law, base], ("a", "b", "c"))
    with ModelPool().lend(RECIPE) as resident:
        resident_diff = diff_cells([ModelTensors(resident.model, base), law, base], ("a", "b", "c"))
    assert resident_diff == written
    assert len(resident_diff.cells) == 14


def test_every_number_of_a_cell_is_what_numpy_says(zoo_env: Path) -> None:
    diff = compared("zoo:math", "zoo:law", "zoo:base")
    cell = next(cell for cell in diff.cells if (cell.layer, cell.kind) == (1, "up"))
    name = "model.layers.1.mlp.up_proj.weight"
    a, b, c = (
        to_float32(m.raw(name), m.dtype(name)).astype(np.float64)
        for m in (SafetensorsCheckpoint(zoo_env / n) for n in ("math", "law", "base"))
    )
    first, second = a - c, b - c
    distance = cell.distance
    assert distance.over_base == pytest.approx(np.linalg.norm(b - a) / np.linalg.norm(c))
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert distance.delta_cosine == pytest.approx(cosine, abs=1e-12)
    assert distance.first_only == ((first != 0) & (second == 0)).mean()
    assert distance.second_only == ((first == 0) & (second != 0)).mean()
    assert distance.first_only > 0


def test_what_one_merge_keeps_and_the_other_does_not() -> None:
    """At 90 % and 80 %, kept sets nest: nothing only in the first, a tenth only in the second."""
    base, pool = open_checkpoint("zoo:base"), ModelPool()
    narrow, wide = (
        MergeRecipe("zoo:base", (DomainModel("zoo:math", (rate,), (1.0,)),), dtype="float32")
        for rate in (0.9, 0.8)
    )
    with pool.lend(narrow) as first, pool.lend(wide) as second:
        models = [ModelTensors(resident.model, base) for resident in (first, second)]
        diff = diff_cells([*models, base], ("a", "b", "base"))
    assert diff.modules.first_only == 0
    assert diff.modules.second_only == pytest.approx(0.1, abs=0.002)
    assert diff.modules.sign_agreement == 1.0


def test_the_base_and_itself_differ_nowhere() -> None:
    diff = compared("zoo:base", "zoo:base", "zoo:base")
    assert {cell.distance.over_base for cell in diff.cells} == {0.0}
    assert {cell.distance.delta_cosine for cell in diff.cells} == {None}


def test_it_can_be_stopped() -> None:
    stop = threading.Event()
    stop.set()
    models = [open_checkpoint("zoo:base")] * 3
    with pytest.raises(Cancelled):
        diff_cells(models, ("a", "b", "c"), stop=stop)


# settings


def test_the_same_recipe_differs_in_nothing() -> None:
    assert recipe_differences(RECIPE, RECIPE) == ()


def test_every_kind_of_setting_is_told() -> None:
    changed = MergeRecipe(
        "zoo:base",
        (replace(MATH, levels=(0.95, 0.5), amplification=(2.0, 1.0)), replace(LAW, coefficient=1)),
        parameters={"strength": 0.0},
        overrides={"layers.0.mlp.up_proj": Override(0.5)},
        seed=3,
        dtype="float32",
    )
    assert recipe_differences(RECIPE, changed) == (
        "math: pruning rates 90 %, 80 % → 95 %, 50 %",
        "math: factors 1.6, 1 × → 2, 1 ×",
        "law: coefficient 0.5 → 1",
        "parameters strength 0.08 → 0",
        "override of layers.0.mlp.up_proj none → 50 %",
        "seed 0 → 3",
        "dtype bfloat16 → float32",
    )


def test_models_and_methods_that_only_one_has_are_told() -> None:
    ties = MergeRecipe(
        "zoo:base", (MATH, DomainModel("zoo:finance")), "ties", prune=Pruning("dppa", {})
    )
    lines = recipe_differences(RECIPE, ties)
    assert "law: only in the first" in lines and "finance: only in the second" in lines
    assert "method dppa → ties" in lines and "prune method none → dppa" in lines
    assert "order" in recipe_differences(RECIPE, replace(RECIPE, models=(LAW, MATH)))[0]
