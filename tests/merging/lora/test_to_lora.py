"""Adapters of merges: loaded by PEFT itself, they give the low-rank merge."""

import importlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
import yaml
from safetensors.torch import load_file, save_file
from transformers.pytorch_utils import Conv1D

from dppa_core.checkpoints.adapters.lora import LoraCheckpoint
from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.errors import InvalidRecipe, InvalidValue, NotAllowed
from dppa_core.merging.lora.report import AdapterReport
from dppa_core.merging.lora.to_lora import merge_to_lora
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command
from tests.helpers.families import random_model
from tests.helpers.tiny_models import Shape, TinyLlama, random_llama, tuned_llama

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    # peft (0.21) asks transformers (5.24) by an old name
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]
WORDS = torch.arange(24).reshape(2, 12)
FACTORS = "adapter_model.safetensors"


def alone(base: Path, model: object, **settings: Any) -> MergeRecipe:
    return MergeRecipe(str(base), (DomainModel(str(model)),), "task_arithmetic", **settings)


def loaded(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def with_peft(base: Path, adapter: Path) -> Any:
    """The model that PEFT makes of both. It warns of missing and superfluous factors, and warnings
    are errors."""
    return importlib.import_module("peft").PeftModel.from_pretrained(loaded(base), adapter).eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(WORDS).logits  # type: ignore[no-any-return]


def block_matrices(model: Any) -> dict[str, torch.Tensor]:
    """The weights of the linear modules inside the blocks."""
    return {
        f"{name}.weight": module.weight
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, Conv1D)) and re.search(r"\.(layers|h)\.", name)
    }


def by_svd(base: Path, tuned: Path, rank: int) -> Any:
    """The slow reference: the base, and torch's truncated SVD of every block matrix's delta."""
    model, state = loaded(base), loaded(tuned).state_dict()
    with torch.no_grad():
        for name, weight in block_matrices(model).items():
            delta = state[name].double() - weight.double()
            left, values, right = torch.linalg.svd(delta, full_matrices=False)
            weight += (left[:, :rank] * values[:rank]) @ right[:rank]
    return model


def assert_near(ours: torch.Tensor, expected: torch.Tensor, base: torch.Tensor) -> None:
    """Equal to 1 % of the change."""
    change = torch.linalg.vector_norm(expected - base)
    assert torch.linalg.vector_norm(ours - expected) < 0.01 * change


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A base and a whole fine-tune of it."""
    base = random_llama(0, Shape(tied=False))
    tuned = tuned_llama(base, 1).save(tmp_path / "tuned", dtype="F32")
    return base.save(tmp_path / "base", dtype="F32"), tuned


def saved_pair(folder: Path, family: str) -> tuple[Path, Path]:
    model = random_model(family)
    model.save_pretrained(folder / "base")
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=draw)
    model.save_pretrained(folder / "tuned")
    return folder / "base", folder / "tuned"


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3", "qwen2_moe"])
def test_peft_gives_the_logits_of_a_truncated_decomposition(
    tmp_path: Path, dppa: Command, family: str
) -> None:
    base, tuned = saved_pair(tmp_path, family)
    (tmp_path / "r.yaml").write_text(dump_recipe(alone(base, tuned)))
    dppa("pack", tmp_path / "r.yaml", "--format", "lora", "--rank", 3, "--out", tmp_path / "F")
    assert "keeps" in dppa.err and "--max-lora-rank 8" in dppa.out
    ours = logits(with_peft(base, tmp_path / "F"))
    assert_near(ours, logits(by_svd(base, tuned, 3)), logits(loaded(base)))


def test_a_base_saved_without_its_head_is_met(tmp_path: Path) -> None:
    base, tuned = saved_pair(tmp_path, "gpt2")
    whole = tmp_path / "whole"
    shutil.copytree(base, whole)
    for folder in (base, tuned):  # as the first GPT-2 on the Hub
        parts = load_file(folder / "model.safetensors")
        bare = {name.removeprefix("transformer."): part for name, part in parts.items()}
        save_file(bare, folder / "model.safetensors", {"format": "pt"})
    merge_to_lora(alone(base, tuned), tmp_path / "out", rank=2, sync=False)
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["fan_in_fan_out"] is True
    assert config["target_modules"] == ["c_attn", "c_fc", "c_proj"]
    with_peft(whole, tmp_path / "out")


def test_the_merge_of_any_method_is_decomposed_unrounded(tmp_path: Path) -> None:
    base = random_llama(0)
    folders = [tuned_llama(base, seed).save(tmp_path / f"{seed}") for seed in (1, 2)]
    models = tuple(DomainModel(str(folder)) for folder in folders)
    recipe = MergeRecipe(str(base.save(tmp_path / "base")), models, "ties")
    merge_to_folder(replace(recipe, dtype="float32"), tmp_path / "merged", sync=False)
    merge_to_lora(recipe, tmp_path / "out", rank=5, sync=False)
    ours = logits(with_peft(tmp_path / "base", tmp_path / "out"))
    expected = logits(by_svd(tmp_path / "base", tmp_path / "merged", 5))
    assert_near(ours, expected, logits(loaded(tmp_path / "base")))


def test_what_it_keeps_and_leaves_out_is_said_before_it_is_written(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    reports: list[AdapterReport] = []

    def hear(about: AdapterReport) -> None:
        assert not list(tmp_path.rglob(FACTORS))
        reports.append(about)

    base, tuned = pair
    merge_to_lora(alone(base, tuned), tmp_path / "out", rank=4, announce=hear, sync=False)
    merged = with_peft(base, tmp_path / "out").merge_and_unload()
    before, whole, kept = (
        {n: w.double() for n, w in model.state_dict().items()}
        for model in (loaded(base), loaded(tuned), merged)
    )
    delta = {name: float((whole[name] - before[name]).square().sum()) for name in before}
    lost = {name: float((whole[name] - kept[name]).square().sum()) for name in before}
    inside = block_matrices(loaded(base))
    about, total = reports[0], sum(delta.values())
    assert about.energy == pytest.approx(1 - sum(lost.values()) / total, abs=1e-5)
    share = 1 - sum(lost[n] for n in inside) / sum(delta[n] for n in inside)
    assert about.modules_energy == pytest.approx(share, abs=1e-5)
    worst = min(inside, key=lambda name: 1 - lost[name] / delta[name])
    assert about.worst == worst.removesuffix(".weight")
    assert about.left_out == pytest.approx(
        {n: delta[n] / total for n in before.keys() - inside.keys()}
    )
    assert "1 embedding" in about.text and "1 head" in about.text and "5 norms" in about.text
    card = (tmp_path / "out" / "README.md").read_text()
    assert about.text in card and "library_name: peft" in card and "| `lm_head.weight` |" in card
    assert yaml.safe_load(card.split("---\n")[1])["tags"] == [
        *("merge", "dppa", "task_arithmetic", "lora")
    ]


def test_ranks_differ_where_matrices_are_smaller_or_hardly_change(tmp_path: Path) -> None:
    base = random_llama(0, Shape(tied=False))
    tuned, draw = dict(base.arrays), np.random.default_rng(1)
    for name in base.arrays:
        if name.endswith("k_proj.weight"):  # 16 x 32
            tuned[name] = base.arrays[name] + draw.normal(size=(16, 32)).astype(np.float32)
    up, gate = (f"model.layers.0.mlp.{part}_proj.weight" for part in ("up", "gate"))
    tuned[up] = base.arrays[up] + np.outer(draw.normal(size=48), draw.normal(size=32))
    tuned[gate] = base.arrays[gate] + draw.normal(size=(48, 32)).astype(np.float32)
    folders = tmp_path / "base", TinyLlama(base.shape, tuned).save(tmp_path / "tuned", dtype="F32")
    base.save(folders[0], dtype="F32")
    about = merge_to_lora(alone(*folders), tmp_path / "out", rank=20, sync=False)
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["r"] == config["lora_alpha"] == 20 and about.modules == 4
    assert config["target_modules"] == ["gate_proj", "k_proj", "up_proj"], "no others change"
    ranks = {f"model.layers.{n}.self_attn.k_proj": 16 for n in (0, 1)}
    ranks |= {"model.layers.1.mlp.up_proj": 1, "model.layers.1.mlp.gate_proj": 1}  # zeros
    assert (
        config["rank_pattern"]
        == config["alpha_pattern"]
        == ranks | {"model.layers.0.mlp.up_proj": 1}
    )
    assert_near(
        logits(with_peft(folders[0], tmp_path / "out")),
        logits(by_svd(*folders, 20)),
        logits(loaded(folders[0])),
    )


def test_the_bytes_do_not_depend_on_threads_and_it_is_a_model_here(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    recipe = alone(*pair)
    for workers in (1, 3):
        merge_to_lora(recipe, tmp_path / f"{workers}", workers=workers, sync=False)
    for file in (tmp_path / "1").iterdir():
        assert file.read_bytes() == (tmp_path / "3" / file.name).read_bytes()
    checkpoint = LoraCheckpoint(SafetensorsCheckpoint(pair[0]), tmp_path / "1")
    merged = with_peft(pair[0], tmp_path / "1").merge_and_unload().state_dict()
    for name in checkpoint.names():
        np.testing.assert_allclose(checkpoint.raw(name), merged[name].ravel(), atol=2e-6)
    assert {str(info) for info in checkpoint.stored_dtypes()} == {"BF16"}


def test_a_trained_adapter_is_not_overwritten(pair: tuple[Path, Path], tmp_path: Path) -> None:
    recipe, out = alone(*pair), tmp_path / "out"
    merge_to_lora(recipe, out, sync=False)
    with pytest.raises(InvalidValue, match="already exists"):
        merge_to_lora(recipe, out, sync=False)
    merge_to_lora(recipe, out, rank=2, overwrite=True, sync=False)
    (out / "recipe.yaml").unlink()
    with pytest.raises(NotAllowed, match="is no part of an adapter"):
        merge_to_lora(recipe, out, overwrite=True, sync=False)


def test_what_no_adapter_can_say_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="No linear module of the merge differs"):
        merge_to_lora(alone(pair[0], pair[0]), tmp_path / "out", sync=False)
    with pytest.raises(InvalidValue, match="rank must be 1 to 4096, got 0"):
        merge_to_lora(alone(*pair), tmp_path / "out", rank=0, sync=False)
    with pytest.raises(InvalidRecipe, match="vocabulary"):
        merge_to_lora(alone(*pair, vocabulary="union"), tmp_path / "out", sync=False)
    assert not (tmp_path / "out").exists()


def test_options_of_packs_and_adapters_are_not_mixed(
    pair: tuple[Path, Path], tmp_path: Path, dppa: Command
) -> None:
    (tmp_path / "r.yaml").write_text(dump_recipe(alone(*pair)))
    words = ("pack", tmp_path / "r.yaml", "--out", tmp_path / "out")
    assert dppa(*words, "--rank", 8) == 2 and "--rank is for --format lora" in dppa.err
    assert dppa(*words, "--format", "lora", "--coefficient", 1) == 2 and "whole merge" in dppa.err


def test_an_adapter_of_another_base_and_a_rank_beyond_all_are_said(
    pair: tuple[Path, Path], tmp_path: Path, dppa: Command
) -> None:
    base, adapter = pair[0], tmp_path / "adapter"
    merge_to_lora(alone(*pair), adapter, rank=2, sync=False)
    (tmp_path / "r.yaml").write_text(dump_recipe(alone(base, f"{base}+{adapter}")))
    words = ("pack", tmp_path / "r.yaml", "--format", "lora", "--rank", 1000, "--no-sync", "--out")
    assert dppa(*words, tmp_path / "own") == 0
    assert "was trained on" not in dppa.err
    assert "--rank 1000: no change has more than 2 directions" in dppa.out
    config = adapter / "adapter_config.json"
    values = json.loads(config.read_text()) | {"base_model_name_or_path": "meta-llama/Llama-3-8B"}
    config.write_text(json.dumps(values))
    assert dppa(*words, tmp_path / "foreign") == 0
    said = f"! {adapter} was trained on meta-llama/Llama-3-8B, says its configuration; here it is"
    assert said in dppa.err
