"""Patches for servers: applied to the base as vLLM does, they give the merge bit for bit."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from dppa_core.errors import InvalidRecipe, NotAllowed
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.to_patch import FILE_NAME, INDICES, VALUES, PatchSize, patch_base
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command

TWO = tuple(DomainModel(f"zoo:{name}", (0.9, 0.8), (1.6, 1.0), 0.7) for name in ("math", "law"))
RECIPE = MergeRecipe("zoo:base", TWO)
TIES = MergeRecipe("zoo:base", tuple(DomainModel(model.model) for model in TWO), "ties")


def applied(base: Path, patch: Path) -> dict[str, torch.Tensor]:
    """The base's tensors after the patch: what load_checkpoint_weight_patches copies."""
    tensors = {name: tensor.to(torch.bfloat16) for name, tensor in load_file(base).items()}
    with safe_open(patch, "pt") as file:
        shapes = json.loads(file.metadata()["shapes"])
        for name, shape in shapes.items():
            indices, values = file.get_tensor(name + INDICES), file.get_tensor(name + VALUES)
            assert tuple(tensors[name].shape) == tuple(shape) and values.dtype == torch.bfloat16
            assert (indices.diff() > 0).all(), "strictly rising"
            tensors[name].view(-1)[indices] = values
    return tensors


@pytest.mark.parametrize("recipe", [RECIPE, TIES], ids=["dppa", "ties"])
def test_a_patched_base_is_the_merge(zoo_env: Path, tmp_path: Path, recipe: MergeRecipe) -> None:
    report = patch_base(recipe, tmp_path / "patch", sync=False)
    merge_to_folder(recipe, tmp_path / "merged", sync=False)
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    patched = applied(zoo_env / "base" / "model.safetensors", tmp_path / "patch" / FILE_NAME)
    assert patched.keys() == merged.keys()
    for name, tensor in merged.items():
        assert torch.equal(patched[name], tensor), name
    assert 0 < report.stored < report.numel


def test_the_command_writes_a_patch_and_refuses_options_of_packs(
    zoo_env: Path, tmp_path: Path, dppa: Command
) -> None:
    (tmp_path / "recipe.yaml").write_text(dump_recipe(RECIPE))
    words = ["pack", tmp_path / "recipe.yaml", "--out", tmp_path / "out", "--format", "vllm"]
    dppa(*words, "--json")
    assert dppa.json["patch"]["file"] == FILE_NAME
    assert (tmp_path / "out" / FILE_NAME).stat().st_size == dppa.json["patch"]["nbytes"]
    assert dppa(*words, "--overwrite", "--coefficient", 1) == 2 and "whole merge" in dppa.err
    assert dppa(*words[:-1], "onnx") == 2 and "allowed are dppa, vllm, lora" in dppa.err


def test_the_size_of_a_patch_is_told_before_it_is_written(
    zoo_env: Path, tmp_path: Path, dppa: Command
) -> None:
    sizes: list[PatchSize] = []

    def hear(size: PatchSize) -> None:
        assert not list(tmp_path.rglob(FILE_NAME))
        sizes.append(size)

    report = patch_base(RECIPE, tmp_path / "patch", sync=False, announce=hear)
    merged = merge_to_folder(RECIPE, tmp_path / "merged", sync=False)
    assert sizes[0].nbytes == report.stored * (8 + 2)
    assert 0 < report.nbytes - sizes[0].nbytes < 8000, "the header"
    weights = load_file(tmp_path / "merged" / "model.safetensors").values()
    total = sum(weight.numel() * weight.element_size() for weight in weights)
    assert merged.files and report.merged_nbytes == sizes[0].merged_nbytes == total
    (tmp_path / "whole.yaml").write_text(
        dump_recipe(MergeRecipe("zoo:base", (DomainModel("zoo:math"),)))
    )
    words = ("pack", tmp_path / "whole.yaml", "--out", tmp_path / "out", "--format", "vllm")
    assert dppa(*words) == 0
    assert "The patch takes" in dppa.err and "`dppa merge` writes the smaller one" in dppa.err


def test_another_vocabulary_and_foreign_folders_are_refused(zoo_env: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match="vocabulary"):
        patch_base(MergeRecipe("zoo:base", TWO, vocabulary="union"), tmp_path / "patch")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    with pytest.raises(NotAllowed, match="holds diary.txt"):
        patch_base(RECIPE, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "diary.txt").read_text() == "dear"
