"""Linear modules by name and shape, in every family of causal language models."""

import pytest

from dppa_core.pruning.module_groups import KINDS, find_modules, layer_of, order_kinds

FAMILIES = {
    # family: (prefix of block 1, {kind: name inside the block})
    "llama": ("model.layers", {
        "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj",
        "o": "self_attn.o_proj",
        "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
    }),
    "phi": ("model.layers", {
        "q": "self_attn.q_proj", "o": "self_attn.dense", "up": "mlp.fc1", "down": "mlp.fc2",
    }),
    "phi3": ("model.layers", {
        "qkv": "self_attn.qkv_proj", "o": "self_attn.o_proj",
        "gate_up": "mlp.gate_up_proj", "down": "mlp.down_proj",
    }),
    "gpt2": ("transformer.h", {
        "qkv": "attn.c_attn", "o": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj",
    }),
    "gpt2, bare": ("h", {"qkv": "attn.c_attn", "o": "attn.c_proj"}),
    "gpt_neox": ("gpt_neox.layers", {
        "qkv": "attention.query_key_value", "o": "attention.dense",
        "up": "mlp.dense_h_to_4h", "down": "mlp.dense_4h_to_h",
    }),
    "gptj": ("transformer.h", {
        "q": "attn.q_proj", "o": "attn.out_proj", "up": "mlp.fc_in", "down": "mlp.fc_out",
    }),
    "opt": ("model.decoder.layers", {
        "v": "self_attn.v_proj", "o": "self_attn.out_proj", "up": "fc1", "down": "fc2",
    }),
    "falcon": ("transformer.h", {
        "qkv": "self_attention.query_key_value", "o": "self_attention.dense",
        "up": "mlp.dense_h_to_4h", "down": "mlp.dense_4h_to_h",
    }),
    "mpt": ("transformer.blocks", {"qkv": "attn.Wqkv", "o": "attn.out_proj"}),
    "mixtral": ("model.layers", {
        "q": "self_attn.q_proj", "router": "block_sparse_moe.gate",
        "gate": "block_sparse_moe.experts.7.w1", "up": "block_sparse_moe.experts.7.w3",
        "down": "block_sparse_moe.experts.7.w2",
    }),
    "qwen2_moe": ("model.layers", {
        "router": "mlp.gate", "gate": "mlp.experts.0.gate_proj", "up": "mlp.experts.0.up_proj",
        "down": "mlp.shared_expert.down_proj",
    }),
    "internlm2": ("model.layers", {
        "qkv": "attention.wqkv", "o": "attention.wo",
        "gate": "feed_forward.w1", "up": "feed_forward.w3", "down": "feed_forward.w2",
    }),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_a_module_is_found_and_named_in_every_family(family: str) -> None:
    prefix, inside = FAMILIES[family]
    names = {f"{prefix}.1.{path}.weight": kind for kind, path in inside.items()}
    modules = find_modules(dict.fromkeys(names, (4, 8)))
    assert [m.kind for m in modules] == [kind for kind in KINDS if kind in inside]
    block = prefix.rpartition(".")[2]
    for module in modules:
        assert names[module.tensor] == module.kind and module.layer == 1 and module.numel == 32
        assert module.name == f"{block}.1.{inside[module.kind]}"


@pytest.mark.parametrize(
    ("tensor", "shape", "kind"),
    [
        ("model.layers.1.mlp.experts.gate_up_proj", (2, 8, 4), "gate_up"),
        ("model.layers.1.mlp.experts.down_proj", (2, 4, 4), "down"),
        ("model.layers.1.block_sparse_moe.input_linear.weight", (2, 8, 4), "gate_up"),
        ("model.layers.1.block_sparse_moe.output_linear.weight", (2, 4, 4), "down"),
        ("transformer.blocks.1.ffn.experts.mlp.w1", (8, 4), "gate"),
    ],
)
def test_experts_stored_as_one_tensor_are_one_module(
    tensor: str, shape: tuple[int, ...], kind: str
) -> None:
    (module,) = find_modules({tensor: shape})
    assert module.kind == kind and module.layer == 1


@pytest.mark.parametrize(
    "name", ["mlp.dense_h", "mixer.in_proj", "mlp.w1", "linear_attn.in_proj_qkvz", "output.dense"]
)
def test_a_name_nobody_knows_is_a_kind_of_its_own(name: str) -> None:
    (module,) = find_modules({f"model.layers.0.{name}.weight": (4, 4)})
    assert module.kind == name.rpartition(".")[2]


@pytest.mark.parametrize(
    ("tensor", "shape"),
    [
        ("model.embed_tokens.weight", (10, 4)),
        ("transformer.wpe.weight", (10, 4)),
        ("lm_head.weight", (10, 4)),
        ("embed_out.weight", (10, 4)),
        ("model.decoder.project_in.weight", (10, 4)),
        ("model.layers.0.input_layernorm.weight", (4,)),
        ("model.layers.0.self_attn.q_proj.bias", (4,)),
        ("transformer.h.0.ln_1.weight", (4,)),
        ("transformer.h.0.attn.bias", (1, 1, 8, 8)),
        ("model.layers.0.self_attn.q_norm.weight", (4, 4)),
        ("model.layers.0.mlp.experts.down_proj_bias", (2, 4)),
        ("model.layers.61.shared_head.head.weight", (10, 4)),
        ("model.layers.61.embed_tokens.weight", (10, 4)),
        ("backbone.layers.0.mixer.A_log", (4, 4)),
        ("backbone.layers.0.mixer.conv1d.weight", (4, 1, 4)),
        ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", (32, 8)),
        ("model.layers.0.mlp.up_proj.weight", (0, 4)),
    ],
)
def test_everything_else_is_another_tensor(tensor: str, shape: tuple[int, ...]) -> None:
    assert find_modules({tensor: shape}) == ()


def test_two_modules_short_alike_keep_their_whole_names() -> None:
    towers = [f"{tower}.block.0.layer.0.SelfAttention.q" for tower in ("encoder", "decoder")]
    alone = "decoder.block.0.layer.1.EncDecAttention.q"
    modules = find_modules({f"{name}.weight": (4, 4) for name in (*towers, alone)})
    assert {m.name for m in modules} == {*towers, "block.0.layer.1.EncDecAttention.q"}


def test_modules_are_ordered_by_layer_and_kind() -> None:
    names = [f"model.layers.{i}.x.{k}_proj.weight" for i in (10, 2) for k in ("up", "v", "q")]
    modules = find_modules(dict.fromkeys(sorted(names), (2, 2)))
    assert [(m.layer, m.kind) for m in modules] == [
        (2, "q"), (2, "v"), (2, "up"), (10, "q"), (10, "v"), (10, "up"),
    ]  # fmt: skip
    assert layer_of("model.layers.10.norm.weight") == 10 and layer_of("lm_head.weight") is None


def test_kinds_nobody_knows_stand_last() -> None:
    assert order_kinds(["x_proj", "down", "a", "qkv", "down"]) == ("qkv", "down", "a", "x_proj")
