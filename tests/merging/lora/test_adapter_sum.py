"""Adapters merged as adapters: their sum is exact, and no whole matrix is made of it."""

import json
import math
import struct
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from dppa_core.checkpoints.adapters.lora import LoraCheckpoint
from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.merging.lora.adapter_sum import sum_of_adapters
from dppa_core.merging.lora.linear_modules import linear_modules
from dppa_core.merging.lora.to_lora import merge_to_lora
from dppa_core.merging.merger import open_merger
from dppa_core.methods.registry import METHODS
from dppa_core.profiling import spectrum
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, Pruning, dump_recipe
from tests.helpers.command import Command
from tests.helpers.tiny_models import Shape, random_llama, write_file

SPECTRAL = [m.name for m in METHODS if m.combination is not None and m.combination.factored]
FACTORS = "adapter_model.safetensors"
MLP = ("up_proj", "down_proj")
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", *MLP)
Arrays = dict[str, np.ndarray]


def saved_adapter(
    folder: Path, shapes: dict[str, tuple[int, int]], rank: int, seed: int, **settings: Any
) -> Path:
    """A random adapter of modules (name -> out x in), in bfloat16 unless `dtype` says otherwise."""
    folder.mkdir(parents=True)
    draw, arrays = np.random.default_rng(seed), Arrays()
    dtype, ranks = settings.pop("dtype", "BF16"), settings.get("rank_pattern", {})
    for name, (outputs, inputs) in shapes.items():
        own = next((r for end, r in ranks.items() if name.endswith(end)), rank)
        for side, shape in {"A": (own, inputs), "B": (outputs, own)}.items():
            stored = f"base_model.model.{name}.lora_{side}.weight"
            arrays[stored] = draw.normal(0, 0.05, shape).astype(np.float32)
    arrays |= settings.pop("more", {})
    write_file(folder / FACTORS, arrays, dtype)
    leaves = sorted({name.rpartition(".")[2] for name in shapes})
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": leaves}
    (folder / "adapter_config.json").write_text(json.dumps({**config, **settings}))
    return folder


def modules(shape: Shape, *leaves: str) -> dict[str, tuple[int, int]]:
    named = {name.removesuffix(".weight"): size for name, size in shape.tensors().items()}
    return {n: (s[0], s[1]) for n, s in named.items() if n.endswith(leaves)}


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    """A base, and three adapters on it of other ranks, patterns and modules."""
    base = random_llama(0).save(tmp_path / "base", dtype="F32")
    q_and_v, all_mlp = (
        modules(Shape(), "q_proj", "v_proj"),
        modules(Shape(), "up_proj", "down_proj"),
    )
    folders = [
        saved_adapter(tmp_path / "a", q_and_v, 4, 1),
        saved_adapter(tmp_path / "b", {**q_and_v, **all_mlp}, 2, 2, rank_pattern={"up_proj": 5},
                      alpha_pattern={"layers.1.self_attn.q_proj": 7}),
        saved_adapter(tmp_path / "c", all_mlp, 3, 3, use_rslora=True),
    ]  # fmt: skip
    return [str(base), *(f"{base}+{folder}" for folder in folders)]


def recipe_of(models: list[str], method: str = "task_arithmetic", **settings: Any) -> MergeRecipe:
    domain = tuple(
        DomainModel(model, amplification=(1.5,), coefficient=weight)
        for model, weight in zip(models[1:], (0.3, -0.7, 1.1), strict=False)
    )
    return MergeRecipe(models[0], domain, method, dtype="float32", **settings)


def deltas(checkpoint: Any, base: Path) -> Arrays:
    plain = SafetensorsCheckpoint(base)
    return {
        name: to_float32(checkpoint.raw(name), checkpoint.dtype(name)).astype(np.float64)
        - plain.raw(name)
        for name in plain.names()
    }


def merged_deltas(recipe: MergeRecipe) -> Arrays:
    """The slow reference: the merge of whole matrices."""
    merger, plain = open_merger(recipe), SafetensorsCheckpoint(recipe.base)
    return {n: merger.tensor(n)[2].astype(np.float64) - plain.raw(n) for n in plain.names()}


def test_the_spectrum_of_adapters_is_that_of_their_matrices(
    models: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of one on top of another; the factors are enough."""
    chain = f"{models[2]}+{models[3].rpartition('+')[2]}"
    for name in (*models[1:], chain):
        base, tuned = open_checkpoint(models[0]), open_checkpoint(name)
        with monkeypatch.context() as patch:
            patch.setattr(spectrum, "adapters_between", lambda *pair: [])
            dense = spectrum.decompose_delta(base, tuned)
        with monkeypatch.context() as patch:
            patch.setattr(spectrum, "tensor_pair", None)  # reads whole matrices
            products = spectrum.decompose_delta(base, tuned)
        for ours, whole in zip(products.matrices, dense.matrices, strict=True):
            np.testing.assert_allclose(ours.values, whole.values, atol=1e-6)
            assert np.count_nonzero(ours.values) <= 5 + 3, "no rounding beyond the ranks"
            assert ours.rank == whole.rank and ours.directions.shape == whole.directions.shape
            shared = np.abs(ours.directions @ whole.directions.T.astype(np.float32))
            np.testing.assert_allclose(shared, np.eye(ours.rank), atol=5e-3)


@pytest.mark.parametrize("method", ["task_arithmetic", "linear"])
def test_the_sum_is_the_merge_of_whole_matrices(
    models: list[str], tmp_path: Path, method: str
) -> None:
    recipe = recipe_of(models, method)
    about = merge_to_lora(recipe, tmp_path / "out", sync=False)
    assert about.joined and about.rank == 5 + 3 and about.energy == pytest.approx(1)
    base = Path(recipe.base)
    ours = deltas(LoraCheckpoint(SafetensorsCheckpoint(base), tmp_path / "out"), base)
    for name, expected in merged_deltas(recipe).items():
        np.testing.assert_allclose(ours[name], expected, atol=1e-6, err_msg=name)
    size = sum(part.nbytes for part in load_file(tmp_path / "out" / FACTORS).values())
    total = sum_of_adapters(recipe)
    assert total is not None and total.nbytes == about.nbytes == size


@pytest.mark.parametrize("method", SPECTRAL)
def test_methods_of_directions_merge_adapters_as_they_merge_whole_matrices(
    models: list[str], tmp_path: Path, method: str
) -> None:
    """Of other ranks and modules; a model that changes no q_proj takes part there all the same."""
    recipe = recipe_of(models, method, parameters={"scale": 0.5})
    about = merge_to_lora(recipe, tmp_path / "out", sync=False)
    assert about.joined and about.dtype == "F32" and about.rank <= 5 + 3
    base = Path(recipe.base)
    ours = deltas(LoraCheckpoint(SafetensorsCheckpoint(base), tmp_path / "out"), base)
    for name, expected in merged_deltas(recipe).items():
        np.testing.assert_allclose(ours[name], expected, atol=2e-5, err_msg=name)


def test_settings_of_a_models_own_need_whole_matrices(models: list[str], tmp_path: Path) -> None:
    recipe = recipe_of(models, "tsv_m")
    alike = tuple(replace(model, parameters={"scale": 2.0}) for model in recipe.models)
    about = merge_to_lora(replace(recipe, models=alike), tmp_path / "out", sync=False)
    assert "settings of its own" in about.dense and not about.joined


def test_a_lower_rank_is_the_truncated_decomposition_of_the_merge(
    models: list[str], tmp_path: Path
) -> None:
    recipe = recipe_of(models)
    about = merge_to_lora(recipe, tmp_path / "out", rank=3, sync=False)
    assert not about.joined and about.dtype == "BF16" and about.rank == 3
    base = Path(recipe.base)
    ours = deltas(LoraCheckpoint(SafetensorsCheckpoint(base), tmp_path / "out"), base)
    lost = energy = 0.0
    for name, expected in merged_deltas(recipe).items():
        if not expected.any():
            assert not ours[name].any()
            continue
        shape = random_llama(0).arrays[name].shape
        left, values, right = np.linalg.svd(expected.reshape(shape), full_matrices=False)
        kept = ((left[:, :3] * values[:3]) @ right[:3]).ravel()
        assert np.linalg.norm(ours[name] - kept) < 0.01 * np.linalg.norm(kept), name
        lost += float(np.square(expected - ours[name]).sum())
        energy += float(np.square(expected).sum())
    assert about.energy == pytest.approx(1 - lost / energy, abs=1e-5)
    whole = merge_to_lora(recipe, tmp_path / "whole", rank=8, sync=False)
    assert whole.joined, "no direction is lost, so nothing is decomposed"


def test_weights_that_are_powers_of_two_leave_the_factors_narrow(
    models: list[str], tmp_path: Path
) -> None:
    domain = tuple(DomainModel(model, coefficient=0.5) for model in models[1:2])
    recipe = MergeRecipe(models[0], domain, "task_arithmetic")
    about = merge_to_lora(recipe, tmp_path / "out", sync=False)
    assert about.dtype == "BF16"
    ours, theirs = (load_file(f / FACTORS) for f in (tmp_path / "out", tmp_path / "a"))
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours), "0.5 of alpha / r = 2 is 1"
    third = MergeRecipe(models[0], (DomainModel(models[1], coefficient=0.3),), "task_arithmetic")
    assert merge_to_lora(third, tmp_path / "third", sync=False).dtype == "F32"


def test_adapters_on_top_of_each_other_are_summed(models: list[str], tmp_path: Path) -> None:
    both = f"{models[1]}+{models[3].partition('+')[2]}"
    recipe = MergeRecipe(models[0], (DomainModel(both, coefficient=0.3),), "task_arithmetic")
    above = MergeRecipe(models[1], (DomainModel(both),), "task_arithmetic")
    for name, each in {"both": recipe, "above": above}.items():
        each = replace(each, dtype="float32")
        merge_to_lora(each, tmp_path / name, sync=False)
        base = open_checkpoint(each.base)
        ours = LoraCheckpoint(base, tmp_path / name)
        merger = open_merger(each)
        for tensor in base.names():
            merged = merger.tensor(tensor)[2]
            np.testing.assert_allclose(ours.raw(tensor), merged, atol=1e-6, err_msg=tensor)


@pytest.mark.parametrize(
    ("method", "settings", "reason"),
    [
        ("ties", {}, "TIES looks at every weight of a delta"),
        ("linear", {"parameters": {"divide": "nothing"}}, "changes the base's own share"),
        ("linear", {"prune": Pruning("magnitude")}, "prune: magnitude drops weights"),
    ],
)
def test_what_whole_matrices_are_needed_for_is_said(
    models: list[str], tmp_path: Path, method: str, settings: dict[str, Any], reason: str
) -> None:
    about = merge_to_lora(recipe_of(models, method, **settings), tmp_path / "out", sync=False)
    assert reason in about.dense and about.dense in about.text and not about.joined
    assert about.dense in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("settings", "more", "reason"),
    [
        ({"use_dora": True}, "model.layers.0.self_attn.q_proj.lora_magnitude_vector", "DoRA"),
        ({}, "model.norm.weight", "it replaces model.norm.weight"),
    ],
)
def test_adapters_that_are_more_than_two_factors_are_made_whole(
    tmp_path: Path, settings: dict[str, Any], more: str, reason: str
) -> None:
    shape = Shape(layers=1)
    base = random_llama(0, shape).save(tmp_path / "base", dtype="F32")
    extra = {f"base_model.model.{more}": np.full(32, 1.5, np.float32)}
    adapter = saved_adapter(tmp_path / "a", modules(shape, "q_proj"), 2, 1, more=extra, **settings)
    recipe = MergeRecipe(str(base), (DomainModel(f"{base}+{adapter}"),), "task_arithmetic")
    assert sum_of_adapters(recipe) is None
    about = merge_to_lora(recipe, tmp_path / "out", sync=False)
    assert reason in about.dense
    assert about.left_out.keys() == ({"model.norm.weight"} if "norm" in more else set())


def test_a_pack_of_adapters_says_what_an_adapter_would_take(
    models: list[str], tmp_path: Path, dppa: Command
) -> None:
    (tmp_path / "r.yaml").write_text(dump_recipe(recipe_of(models)))
    words = ("pack", tmp_path / "r.yaml", "--out", tmp_path / "out")
    dppa(*words)
    assert "--format lora would give 13.7 kB, and be exact." in dppa.err
    dppa(*words, "--format", "dppa", "--overwrite")
    assert "--format lora" not in dppa.err
    dppa("pack", tmp_path / "r.yaml", "--out", tmp_path / "lora", "--format", "lora", "--json")
    assert dppa.json["adapter"]["nbytes"] == 13696 and "nothing lost" in dppa.err


def sparse_llama(folder: Path, shape: Shape) -> Path:
    """A Llama of zeros, which take no room on the disk."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(shape.config("BF16")))
    header, end = dict[str, Any](), 0
    for name, size in shape.tensors().items():
        start, end = end, end + 2 * math.prod(size)
        header[name] = {"dtype": "BF16", "shape": size, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return folder


def peak_of_three(folder: Path, shape: Shape, method: str, rank: int | None) -> int:
    """Most bytes in Python's and numpy's memory while three adapters of rank 16 are merged."""
    base = sparse_llama(folder / "base", shape)
    leaves = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    domain = tuple(
        DomainModel(
            f"{base}+{saved_adapter(folder / str(seed), modules(shape, *leaves), 16, seed)}"
        )
        for seed in range(3)
    )
    recipe = MergeRecipe(str(base), domain, method)
    linear_modules(SafetensorsCheckpoint(base))  # imports transformers' part for this architecture
    tracemalloc.start()
    try:
        about = merge_to_lora(recipe, folder / "out", rank=rank, workers=1, sync=False)
        assert about.rank == (rank or 48)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("method", "rank"), [("task_arithmetic", 16), ("tsv_m", None)])
def test_no_whole_matrix_is_made_of_adapters(tmp_path: Path, method: str, rank: int | None) -> None:
    wide = Shape(layers=1, hidden=2048, intermediate=5632, heads=16, kv_heads=16)
    assert peak_of_three(tmp_path, wide, method, rank) < 5632 * 2048 * 4 * 0.75, "less than one"


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "rank"),
    [("task_arithmetic", None), ("task_arithmetic", 16), *((name, None) for name in SPECTRAL)],
)
def test_three_adapters_of_a_7b_model_merge_in_seconds_and_less_than_a_gigabyte(
    tmp_path: Path, method: str, rank: int | None
) -> None:
    shape = Shape(32, 4096, 11008, 32, 32, 32000, tied=False)
    began = time.perf_counter()
    assert peak_of_three(tmp_path, shape, method, rank) < 1e9
    assert time.perf_counter() - began < 120, "most of it draws the adapters"
