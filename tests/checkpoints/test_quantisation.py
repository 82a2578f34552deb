"""Quantised weights are recognised from metadata, before a weight is read."""

import pytest

from dppa_core.checkpoints.folders.quantisation import (
    gguf_files,
    packed_by,
    quantised_by,
    why_gguf,
    why_quantised,
)

CONFIGS = {
    "GPTQ, 4 bits": {"quant_method": "gptq", "bits": 4, "group_size": 128},
    "AWQ, 4 bits": {"quant_method": "awq", "w_bit": 4},
    "FP8": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    "bitsandbytes, 4 bits": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "bitsandbytes, 8 bits": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "compressed-tensors": {"quant_method": "compressed-tensors"},
    "newfangled": {"quant_method": "newfangled", "bits": "many"},
    "an unknown method": {"group_size": 128},
}


@pytest.mark.parametrize(("kind", "quantisation"), CONFIGS.items())
def test_a_configuration_names_its_quantisation(kind: str, quantisation: dict[str, object]) -> None:
    assert quantised_by({"quantization_config": quantisation}) == kind
    assert f"({kind})" in str(why_quantised({"quantization_config": quantisation}))


@pytest.mark.parametrize("config", [{}, {"quantization_config": None}, {"quantization_config": {}}])
def test_a_plain_configuration_names_none(config: dict[str, object]) -> None:
    assert quantised_by(config) is None and why_quantised(config, {"a.weight": "BF16"}) is None


def test_a_configuration_of_another_kind_is_quantised_all_the_same() -> None:
    assert quantised_by({"quantization_config": "int4"}) == "an unknown method"
    assert quantised_by({"compression_config": {"quant_method": "awq"}}) == "AWQ"


@pytest.mark.parametrize(
    ("name", "dtype", "kind"),
    [
        ("model.layers.0.mlp.up_proj.qweight", "I32", "GPTQ or AWQ"),
        ("model.layers.0.mlp.up_proj.weight.absmax", "F32", "bitsandbytes"),
        ("model.layers.0.mlp.up_proj.weight.quant_state.bitsandbytes__nf4", "U8", "bitsandbytes"),
        ("model.layers.0.mlp.up_proj.SCB", "F32", "bitsandbytes"),
        ("model.layers.0.mlp.up_proj.weight", "F8_E4M3", "FP8"),
        ("model.layers.0.mlp.up_proj.weight_scale_inv", "F32", "FP8"),
        ("model.layers.0.mlp.up_proj.weight_packed", "I32", "compressed-tensors"),
    ],
)
def test_tensors_betray_a_quantisation_no_configuration_names(
    name: str, dtype: str, kind: str
) -> None:
    tensors = {"model.norm.weight": "F32", name: dtype}
    assert packed_by(tensors) == (name, kind)
    reason = str(why_quantised({}, tensors))
    assert name in reason and kind in reason and "quantise the result" in reason


def test_counters_and_masks_are_no_quantisation() -> None:
    assert packed_by({"h.0.attn.bias": "U8", "steps": "I64", "model.norm.weight": "BF16"}) is None


def test_gguf_files_are_recognised_by_their_ending() -> None:
    assert gguf_files(["README.md", "b-Q4_K.GGUF", "a.gguf"]) == ("a.gguf", "b-Q4_K.GGUF")
    assert why_gguf(["config.json"]) is None
    assert "a.gguf" in str(why_gguf(["a.gguf"]))
