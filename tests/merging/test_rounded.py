"""Merges in 16 bits, rounded as in mergekit; `make test-mergekit` compares bytes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from components.session.from_recipe import beyond_controls
from dppa_core.errors import InvalidRecipe, NonFiniteWeights
from dppa_core.merging.merger import open_merger
from dppa_core.merging.rounded import sums
from dppa_core.merging.rounded.rounded_pass import STEPS
from dppa_core.merging.rounded.tensors import RoundedTensors
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.methods.registry import METHODS
from dppa_core.recipes.mergekit.exporting.export import export_mergekit
from dppa_core.recipes.mergekit.import_recipe import import_mergekit
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, Pruning, dump_recipe, parse_recipe
from tests.helpers.command import Command
from tests.helpers.tiny_models import random_llama, tuned_llama
from tests.reference.mergekit_cases import SHAPE

MODULE = "model.layers.0.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rounded")
    base = random_llama(0, SHAPE)
    base.save(folder / "base", dtype="F16")
    for seed, name in ((1, "a"), (2, "b")):
        tuned_llama(base, seed).save(folder / name, dtype="F16")
    return folder


def recipe(root: Path, method: str = "task_arithmetic", **parameters: object) -> MergeRecipe:
    models = (
        DomainModel(str(root / "a"), coefficient=0.3),
        DomainModel(str(root / "b"), coefficient=-0.7),
    )
    base = str(root / "base")
    return MergeRecipe(base, models, method, parameters, dtype="float16", arithmetic="float16")


def test_every_method_that_can_round_has_its_operations() -> None:
    assert {method.name for method in METHODS if method.rounds} == set(STEPS)


def test_three_rounded_thirds_are_more_than_their_sum() -> None:
    one, nothing = torch.ones(1, dtype=torch.bfloat16), torch.zeros(1, dtype=torch.bfloat16)
    settings = ((),) * 3
    tensors = RoundedTensors(nothing, (one,) * 3, (0.3,) * 3, settings, lambda model: one.double())
    assert float(sums.task_arithmetic(tensors, None)) == 0.90234375  # 3 x 0.30078125
    assert float(torch.tensor(0.9).bfloat16()) == 0.8984375


def test_differences_products_and_sums_are_rounded(root: Path) -> None:
    stored = {}
    for name in ("base", "a", "b"):
        alone = MergeRecipe(str(root / name), (DomainModel(str(root / name)),), "task_arithmetic")
        stored[name] = open_merger(alone).base.raw(MODULE)
    deltas = [stored[name] - stored["base"] for name in ("a", "b")]
    summed = deltas[0] * np.float16(0.3) + deltas[1] * np.float16(-0.7)
    merged = open_merger(recipe(root)).tensor(MODULE)[2]
    assert merged.dtype == np.float16
    np.testing.assert_array_equal(merged, stored["base"] + summed)


def test_a_folder_has_the_same_bytes_for_any_number_of_workers(root: Path, tmp_path: Path) -> None:
    merge = recipe(root, "ties", semantics="mergekit", density=0.5)
    for workers in (1, 3):
        merge_to_folder(merge, tmp_path / str(workers), workers=workers)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("1", "3")]
    assert weights[0] == weights[1]


def test_what_mergekit_does_not_make_is_refused(root: Path) -> None:
    with pytest.raises(InvalidRecipe, match="dppa is always float32. Methods that can: task_arith"):
        recipe(root, "dppa")
    with pytest.raises(InvalidRecipe, match="ties needs `semantics: mergekit`"):
        recipe(root, "ties")
    with pytest.raises(InvalidRecipe, match="no `prune`"):
        replace(recipe(root, "linear"), prune=Pruning("magnitude"))
    with pytest.raises(InvalidRecipe, match="arithmetic must be one of float32, bfloat16"):
        replace(recipe(root), arithmetic="int8")


def test_a_number_that_16_bits_cannot_hold_is_named(root: Path) -> None:
    large = (DomainModel(str(root / "a"), coefficient=10.0),)
    models = (*large, DomainModel(str(root / "b"), coefficient=-10.0))
    with pytest.raises(NonFiniteWeights, match=r"float16 cannot hold .* `arithmetic: float32`"):
        open_merger(replace(recipe(root, "multislerp", eps=1e-8), models=models)).tensor(MODULE)


def test_recipes_say_their_arithmetic_if_it_is_not_the_usual_one(root: Path) -> None:
    merge = recipe(root)
    assert parse_recipe(dump_recipe(merge)) == merge
    assert "arithmetic:" not in dump_recipe(replace(merge, arithmetic="float32"))
    assert "dtype: float16\nout_dtype: float16" in export_mergekit(merge).text
    assert "arithmetic is float16, and here it is always float32" in list(beyond_controls(merge))


def test_an_import_says_how_to_round_as_mergekit_does() -> None:
    text = "merge_method: {}\nbase_model: base\nmodels: [{{model: a, parameters: {{weight: 1}}}}]\n"
    notes = import_mergekit(text.format("ties") + "dtype: bfloat16\n").notes
    assert any("`arithmetic: bfloat16`" in note for note in notes)
    notes = import_mergekit(text.format("ram") + "dtype: bfloat16\n").notes
    assert not any("`arithmetic" in note for note in notes)


def test_people_read_how_much_rounding_changes(root: Path, dppa: Command, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(dump_recipe(replace(recipe(root), arithmetic="float32")))
    assert dppa("compare-semantics", file, "--with", "bfloat16") == 0
    assert dppa.out.startswith("task_arithmetic, float32 against bfloat16: ")
    assert "% of the size of the change from the base" in dppa.out
    assert dppa("compare-semantics", file, "--with", "float16", "--json") == 0
    assert 0 < dppa.json["relative"] < 0.01


def test_model_stock_of_a_single_model_is_that_model(root: Path) -> None:
    stock = recipe(root, "model_stock")
    alone = replace(stock, models=(replace(stock.models[0], coefficient=1.0),))
    copied = replace(alone, method="passthrough", parameters={})
    merged, model = (open_merger(each).tensor(MODULE)[2] for each in (alone, copied))
    np.testing.assert_array_equal(merged, model)
