"""Adapters on a base: peft's merge, tensor by tensor, and what is refused."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from dppa_core.checkpoints.adapters.lora import LoraCheckpoint
from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.sources.open import ModelRef, open_checkpoint
from dppa_core.errors import (
    DamagedCheckpoint,
    DppaError,
    IncompatibleCheckpoints,
    InvalidValue,
    MissingCheckpoint,
    NotAllowed,
)
from dppa_core.forms.products import add_product
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.tiny_models import Shape, random_llama

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    # peft (0.21) asks transformers (5.24) by an old name
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    # and takes the bias of an adapter for a piece of a sharded one
    pytest.mark.filterwarnings("ignore:.*lora_B.bias.* A 1-D or zero-sized"),
]


def peft() -> Any:
    """The package, imported where it is used: it takes seconds in every process."""
    return importlib.import_module("peft")


ATTENTION = ["q_proj", "v_proj"]
UP = "model.layers.1.mlp.up_proj.weight"
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"target_modules": ATTENTION},
    "all linear": {"target_modules": "all-linear", "lora_alpha": 3},
    "rslora": {"target_modules": ATTENTION, "use_rslora": True},
    "patterns": {
        "target_modules": [*ATTENTION, "up_proj"],
        "rank_pattern": {"up_proj": 5, r"layers\.1\.self_attn\.q_proj": 2},
        "alpha_pattern": {"layers.0.self_attn.q_proj": 7, "v_proj": 1},
    },
    "dora": {"target_modules": [*ATTENTION, "down_proj"], "use_dora": True},
    "embedding": {"target_modules": ["embed_tokens", "q_proj"]},
    "head": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "embed_tokens"]},
    "norms": {"target_modules": ["q_proj"], "modules_to_save": ["input_layernorm"]},
}


def saved_base(folder: Path, family: str = "llama") -> Path:
    if family == "llama":
        return random_llama(0, Shape(tied=False)).save(folder, dtype="F32")
    config = {
        "gpt2": transformers.GPT2Config(n_embd=16, n_layer=2, n_head=4, vocab_size=40),
        "opt": transformers.OPTConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=4, ffn_dim=24, vocab_size=40,
            word_embed_proj_dim=16, max_position_embeddings=32,
        ),
    }[family]  # fmt: skip
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def adapted(base: Path, folder: Path, **settings: Any) -> dict[str, np.ndarray]:
    """Save a random adapter in `folder`; what peft itself merges, by the base's names."""
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = peft().LoraConfig(**{"r": 4, "lora_alpha": 8, "init_lora_weights": False, **settings})
    torch.manual_seed(1)  # peft draws the first A and B itself
    wrapped = peft().get_peft_model(model, config)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if weight.requires_grad:
                factor = 1.0 if "magnitude" in name else 0.0
                weight *= 1 + factor * 0.3 * torch.rand(weight.shape, generator=draw)
                weight += (1 - factor) * 0.05 * torch.randn(weight.shape, generator=draw)
    wrapped.save_pretrained(folder, save_embedding_layers=False)
    state = wrapped.merge_and_unload().state_dict()
    return {name: value.numpy() for name, value in state.items()}


def values(checkpoint: Any, name: str) -> np.ndarray:
    return to_float32(checkpoint.raw(name), checkpoint.dtype(name)).reshape(checkpoint.shape(name))


def assert_same(checkpoint: LoraCheckpoint, expected: dict[str, np.ndarray]) -> None:
    for name in checkpoint.names():
        np.testing.assert_allclose(
            values(checkpoint, name), expected[name], rtol=2e-6, atol=2e-6, err_msg=name
        )


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_is_what_peft_merges(tmp_path: Path, kind: str) -> None:
    base = saved_base(tmp_path / "base")
    expected = adapted(base, tmp_path / "adapter", **KINDS[kind])
    checkpoint = LoraCheckpoint(SafetensorsCheckpoint(base), tmp_path / "adapter")
    assert_same(checkpoint, expected)
    plain = SafetensorsCheckpoint(base)
    changed = [n for n in plain.names() if not np.array_equal(values(plain, n), expected[n])]
    assert changed
    for name in set(plain.names()) - set(changed):
        assert checkpoint.raw(name).tobytes() == plain.raw(name).tobytes()


@pytest.mark.parametrize("settings", [
    {"target_modules": ["c_attn", "c_proj"]},
    {"target_modules": ["c_attn", "c_proj"], "use_dora": True},
    {"target_modules": ["wte", "c_fc"]},
], ids=["plain", "dora", "embedding"])  # fmt: skip
def test_weights_stored_in_by_out_are_met_transposed(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    base = saved_base(tmp_path / "base", "gpt2")
    expected = adapted(base, tmp_path / "adapter", fan_in_fan_out=True, **settings)
    assert_same(LoraCheckpoint(SafetensorsCheckpoint(base), tmp_path / "adapter"), expected)
    change_config(tmp_path / "adapter", fan_in_fan_out=False)  # as some trainers leave it
    assert_same(LoraCheckpoint(SafetensorsCheckpoint(base), tmp_path / "adapter"), expected)


@pytest.mark.parametrize("settings", [
    {"bias": "all"}, {"bias": "lora_only"}, {"lora_bias": True},
], ids=str)  # fmt: skip
def test_trained_biases_come_along(tmp_path: Path, settings: dict[str, Any]) -> None:
    base = saved_base(tmp_path / "base", "opt")
    expected = adapted(base, tmp_path / "adapter", target_modules=["q_proj", "fc1"], **settings)
    checkpoint = LoraCheckpoint(SafetensorsCheckpoint(base), tmp_path / "adapter")
    assert_same(checkpoint, expected)
    name = "model.decoder.layers.0.fc1.bias"
    assert np.abs(values(checkpoint, name) - values(checkpoint.base, name)).max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_delta_is_rounded_once(tmp_path: Path, dtype: torch.dtype) -> None:
    base = saved_base(tmp_path / "base")
    adapted(base, tmp_path / "adapter", target_modules=["up_proj"])
    edit(tmp_path / "adapter", lambda parts: {n: p.to(dtype) for n, p in parts.items()})
    checkpoint = open_checkpoint(f"{base}+{tmp_path / 'adapter'}")
    parts = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    a, b = (parts[f"base_model.model.{UP[:-7]}.lora_{side}.weight"].double() for side in "AB")
    exact = values(SafetensorsCheckpoint(base), UP).astype(np.float64) + (2.0 * b @ a).numpy()
    assert checkpoint.dtype(UP) == "F32"
    np.testing.assert_array_equal(values(checkpoint, UP), exact.astype(np.float32))


def test_a_sum_in_float64_has_no_order_but_that_of_the_rank() -> None:
    draw = np.random.default_rng(0)
    weight, left, right = (
        draw.normal(size=shape).astype(np.float32) for shape in ((130, 7), (130, 5), (5, 7))
    )
    expected = sum(
        left[:, k, None].astype(np.float64) * right[None, k].astype(np.float64) for k in range(5)
    )
    computed = add_product(weight, left, right, 0.5)
    np.testing.assert_array_equal(computed, (expected * 0.5 + weight).astype(np.float32))


def edit(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> None:
    path = folder / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)


def change_config(folder: Path, **settings: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A base and an adapter of it."""
    base = saved_base(tmp_path / "base")
    adapted(base, tmp_path / "adapter", target_modules=ATTENTION)
    return base, tmp_path / "adapter"


def test_a_merge_takes_adapters_and_whole_models_alike(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    base, adapter = pair
    whole = tmp_path / "whole"
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    peft().PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(whole)

    def recipe(reference: str) -> MergeRecipe:
        return MergeRecipe(str(base), (DomainModel(reference, (0.9, 0.7), (1.5, 1.0)),))

    ours, theirs = open_merger(recipe(f"{base}+{adapter}")), open_merger(recipe(str(whole)))
    slow = open_merger(recipe(f"{base}+{adapter}"), backend="torch")
    for name in ours.names():
        dtype, shape, raw = ours.tensor(name)
        assert raw.tobytes() == slow.tensor(name)[2].tobytes()
        expected = to_float32(theirs.tensor(name)[2], dtype)
        different = ~np.isclose(to_float32(raw, dtype), expected, rtol=1e-2, atol=1e-6)
        assert different.mean() < 0.01, name  # a tie, or a rounding, may fall otherwise
    merge_to_folder(recipe(f"{base}+{adapter}"), tmp_path / "out")
    with pytest.raises(NotAllowed):
        merge_to_folder(recipe(f"{base}+{adapter}"), adapter, overwrite=True)


def test_an_adapter_may_stand_on_another(pair: tuple[Path, Path]) -> None:
    base, adapter = pair
    once, twice = (open_checkpoint(f"{base}{f'+{adapter}' * times}") for times in (1, 2))
    name = "model.layers.0.self_attn.q_proj.weight"
    first, second = values(once, name), values(twice, name)
    origin = values(SafetensorsCheckpoint(base), name)
    np.testing.assert_allclose(second - origin, 2 * (first - origin), atol=1e-6)


def test_a_hash_follows_weights_and_settings(pair: tuple[Path, Path]) -> None:
    base, adapter = pair
    hashes = [open_checkpoint(str(base)).content_hash()]
    hashes.append(open_checkpoint(f"{base}+{adapter}").content_hash())
    assert open_checkpoint(f"{base}+{adapter}").content_hash() == hashes[-1]
    change_config(adapter, lora_alpha=9)
    hashes.append(open_checkpoint(f"{base}+{adapter}").content_hash())
    edit(adapter, lambda parts: {name: part + 1 for name, part in parts.items()})
    hashes.append(open_checkpoint(f"{base}+{adapter}").content_hash())
    assert len(set(hashes)) == 4


def test_a_reference_with_an_adapter(zoo_env: Path, tmp_path: Path) -> None:
    ref = ModelRef.parse(" zoo:base + ./adapters/math ")
    assert str(ref) == "zoo:base+./adapters/math" and str(ModelRef.parse(str(ref))) == str(ref)
    (tmp_path / "c++").mkdir()
    assert ModelRef.parse(str(tmp_path / "c++")).source == "local"
    for text in ("zoo:base+", "+./adapters/math"):
        with pytest.raises(InvalidValue, match=r"a \+ stands between a model and its adapter"):
            ModelRef.parse(text)
    with pytest.raises(NotAllowed, match="public page"):
        open_checkpoint(f"zoo:base+{tmp_path}", public=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"peft_type": "LOHA"}, "an adapter of type .LOHA.; LORA can be read.*merge_and_unload"),
        ({"init_lora_weights": "pissa"}, "'pissa', which changes the base"),
        ({"layer_replication": [[0, 2]]}, "layer_replication is set"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices is set"),
        ({"target_parameters": ["experts.up"]}, "target_parameters is set"),
    ],
)
def test_another_kind_of_adapter_is_refused(
    pair: tuple[Path, Path], settings: dict[str, Any], message: str
) -> None:
    change_config(pair[1], **settings)
    refused(pair, NotAllowed, message)


def refused(pair: tuple[Path, Path], error: type[DppaError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        open_checkpoint(f"{pair[0]}+{pair[1]}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[]", '{"r": "wide"}', '{"r": 0}', '{"lora_alpha": null}'),
        *('{"alpha_pattern": 1}', '{"alpha_pattern": {"(": 1}}'),
        *('{"rank_pattern": {"(?i)q_proj": 4}}', '{"alpha_pattern": {"q_proj": NaN}}'),
        '{"lora_alpha": 1' + "0" * 400 + "}",
        *('{"rank_pattern": {"(a*)*b": 4}}', '{"rank_pattern": {".*.*.*.*x": 4}}'),
        '{"rank_pattern": {"' + "a" * 201 + '": 4}}',
        '{"rank_pattern": {"' + "(a|a)" * 39 + 'b": 4}}',
        '{"r": 1' + "0" * 400 + "}",
    ],
)
def test_a_damaged_configuration_is_refused(pair: tuple[Path, Path], text: str) -> None:
    (pair[1] / "adapter_config.json").write_text(text)
    refused(pair, DamagedCheckpoint, "adapter_config.json")


def test_missing_parts_are_named(pair: tuple[Path, Path]) -> None:
    base, adapter = pair
    refused((base, base), MissingCheckpoint, "no adapter_config.json, so this is not an adapter")
    refused((base, base / "no"), MissingCheckpoint, "no such adapter folder")
    edit(adapter, lambda parts: {n: p for n, p in parts.items() if "lora_A" not in n})
    refused(pair, DamagedCheckpoint, "has only B, A and B belong together")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    refused(pair, MissingCheckpoint, "adapter_model.bin is a pickle")
    (adapter / "adapter_model.bin").unlink()
    refused(pair, MissingCheckpoint, "adapter_model.safetensors: no such file")


@pytest.mark.parametrize("kind", ["magnitude", "bias"])
@pytest.mark.parametrize("size", [1, 3])
def test_a_vector_of_another_length_is_refused(tmp_path: Path, kind: str, size: int) -> None:
    base = saved_base(tmp_path / "base", "opt" if kind == "bias" else "llama")
    settings = {"lora_bias": True} if kind == "bias" else {"use_dora": True}
    adapted(base, tmp_path / "adapter", target_modules=["q_proj"], **settings)

    def shortened(parts: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {n: p[:size] if kind in n else p for n, p in parts.items()}

    edit(tmp_path / "adapter", shortened)
    refused((base, tmp_path / "adapter"), DamagedCheckpoint, r"has shape \(\d,\), .* has \d+ out")


def test_an_adapter_of_another_base_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    _, adapter = pair
    wide = random_llama(0, Shape(hidden=64)).save(tmp_path / "wide")
    refused((wide, adapter), IncompatibleCheckpoints, r"has shape \(64, 64\), the adapter.*adds")
    flat = random_llama(0, Shape(layers=1)).save(tmp_path / "flat")
    refused((flat, adapter), IncompatibleCheckpoints, "layers.1.*which flat does not have")
    change_config(adapter, r=8)
    refused(pair, DamagedCheckpoint, "gives it rank 8")
