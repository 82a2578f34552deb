"""What a merge writes in few bits, transformers loads and answers alike; reading is the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GptOssConfig, GptOssForCausalLM
from transformers.integrations.finegrained_fp8 import Fp8Dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from dppa_core.checkpoints.checkpoint import FolderCheckpoint
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.in_memory.source import tensors_of
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.models.loading import build_model
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.low_bit_models import FORMS, change_config, mxfp4_experts, save
from tests.helpers.tiny_models import Shape, random_llama, save_tokenizer, tuned_llama

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TOKENS = torch.tensor([[1, 40, 41, 42, 99, 7]])
EXPERTS = mxfp4_experts()


def logits_here(folder: Path) -> torch.Tensor:
    """The answers of a folder's model as this library loads it."""
    checkpoint = FolderCheckpoint(folder)
    model = build_model(checkpoint, tensors_of(checkpoint), torch.float32)
    with torch.no_grad():
        return model(TOKENS).logits


def logits_of_transformers(folder: Path) -> torch.Tensor:
    """Those of transformers, which unfolds the weights without a GPU."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True
    )
    with torch.no_grad():
        return model.eval()(TOKENS).logits


def sum_of(base: Path, model: Path) -> MergeRecipe:
    return MergeRecipe(str(base), (DomainModel(str(model)),), method="task_arithmetic")


def test_fp8_of_blocks_is_loaded_and_answers_alike(tmp_path: Path) -> None:
    base = random_llama(1, Shape(hidden=64, intermediate=96))
    save(base, tmp_path / "base", FORMS["fp8"])
    tuned_llama(base, 2).save(tmp_path / "tuned")
    recipe = sum_of(tmp_path / "base", tmp_path / "tuned")
    report = merge_to_folder(recipe, tmp_path / "out", same_format=True, sync=False)
    here, there = logits_here(tmp_path / "out"), logits_of_transformers(tmp_path / "out")
    np.testing.assert_allclose(here, there, atol=1e-5)
    exact = logits_here(tmp_path / "tuned")  # base + (tuned - base)
    error = float((here - exact).norm() / exact.norm())
    assert report.requantised is not None and 0.01 < report.requantised.error < 0.04
    assert error < 3 * report.requantised.error


def test_fp8_is_unfolded_as_transformers_does(tmp_path: Path) -> None:
    base = random_llama(1, Shape(hidden=64, intermediate=96))
    folder = save(base, tmp_path, FORMS["fp8"])
    stored, checkpoint = load_file(folder / "model.safetensors"), FolderCheckpoint(folder)
    for name, array in base.arrays.items():
        if FORMS["fp8"].takes(name, array):
            codes, scales = stored[name], stored[f"{name}_scale_inv"]
            unfolded = Fp8Dequantize(None)._dequantize_one(codes, scales, torch.float32)
            np.testing.assert_array_equal(checkpoint.raw(name).copy(), unfolded.flatten())


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny gpt-oss, its experts in MXFP4, and a fine-tune of it in bfloat16."""
    folder = tmp_path_factory.mktemp("experts")
    config = GptOssConfig(
        num_hidden_layers=2, hidden_size=32, intermediate_size=64, num_local_experts=3,
        num_experts_per_tok=2, head_dim=8, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=259, sliding_window=8, layer_types=["sliding_attention", "full_attention"],
        tie_word_embeddings=False, pad_token_id=0, eos_token_id=2, bos_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = GptOssForCausalLM(config).bfloat16()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    for name in ("base", "tuned"):
        config.save_pretrained(folder / name)
        state = {key: value.clone() for key, value in model.state_dict().items()}
        save_tokenizer(folder / name)
        if name == "base":
            few = [key for key in state if key.endswith(("gate_up_proj", "down_proj"))]
            for key in few:
                state |= EXPERTS.pack(key, state.pop(key).float())
            change_config(folder / name, quantization_config=dict(EXPERTS.settings))
        save_file(state, folder / name / "model.safetensors", {"format": "pt"})
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.02 * torch.randn_like(parameter)
    return folder


def test_experts_of_mxfp4_are_unfolded_as_transformers_does(experts: Path) -> None:
    stored, checkpoint = load_file(experts / "base/model.safetensors"), None
    checkpoint = FolderCheckpoint(experts / "base")
    assert checkpoint.low_bit is not None and len(checkpoint.low_bit.tensors) == 4
    for name in checkpoint.low_bit.tensors:
        blocks, scales = stored[f"{name}_blocks"], stored[f"{name}_scales"]
        expected = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
        assert checkpoint.shape(name) == tuple(expected.shape)
        np.testing.assert_array_equal(checkpoint.raw(name).copy(), expected.flatten())
        part = checkpoint.raw(name)[1000:3500].copy()
        np.testing.assert_array_equal(part, expected.flatten()[1000:3500])
        np.testing.assert_array_equal(EXPERTS.unpack(stored, name), expected)


def test_experts_of_mxfp4_are_written_and_answer_alike(experts: Path, tmp_path: Path) -> None:
    recipe = sum_of(experts / "base", experts / "tuned")
    reports = [
        merge_to_folder(
            recipe, tmp_path / f"out{workers}", same_format=True, sync=False, workers=workers
        )
        for workers in (1, 4)
    ]
    assert reports[0].sha256 == reports[1].sha256
    assert reports[0].requantised is not None and 0.05 < reports[0].requantised.error < 0.15
    here, there = logits_here(tmp_path / "out1"), logits_of_transformers(tmp_path / "out1")
    np.testing.assert_allclose(here, there, atol=0.02)  # transformers unfolds to bfloat16
    nothing = MergeRecipe(
        recipe.base, (DomainModel(recipe.models[0].model, coefficient=0.0),), "task_arithmetic"
    )
    merge_to_folder(nothing, tmp_path / "nothing", same_format=True, sync=False)
    before = load_file(experts / "base/model.safetensors")
    after = load_file(tmp_path / "nothing/model.safetensors")
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_merge_in_memory_is_the_one_on_disk(tmp_path: Path) -> None:
    base = random_llama(1, Shape(hidden=64, intermediate=96))
    save(base, tmp_path / "base", FORMS["gptq"])
    save(tuned_llama(base, 2), tmp_path / "tuned", FORMS["fp8"])
    recipe = sum_of(tmp_path / "base", tmp_path / "tuned")
    merge_to_folder(recipe, tmp_path / "out", sync=False)
    with torch.no_grad():
        in_memory = ModelPool().get(recipe).model(TOKENS).logits
        alone = ModelPool().get(str(tmp_path / "base")).model(TOKENS).logits
    np.testing.assert_allclose(in_memory, logits_here(tmp_path / "out"), atol=1e-5)
    np.testing.assert_allclose(alone, logits_here(tmp_path / "base"), atol=1e-5)
