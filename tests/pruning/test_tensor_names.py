"""Reading tensor names, and the same name in two checkpoints."""

import pytest

from dppa_core.pruning.tensor_names import find_embedding, find_head, is_buffer, match_names

LLAMA = ("lm_head.weight", "model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight")


@pytest.mark.parametrize(
    ("names", "embedding", "head"),
    [
        (LLAMA, LLAMA[1], LLAMA[0]),
        (("embed_tokens.weight", "layers.0.mlp.up_proj.weight"), "embed_tokens.weight", None),
        (("embed_out.weight", "gpt_neox.embed_in.weight"), "gpt_neox.embed_in.weight",
         "embed_out.weight"),
        (("transformer.wpe.weight", "transformer.wte.weight"), "transformer.wte.weight", None),
        (("backbone.embeddings.weight",), "backbone.embeddings.weight", None),
        (("output.weight", "tok_embeddings.weight"), "tok_embeddings.weight", "output.weight"),
        (("model.layers.0.embed_tokens.weight", "model.layers.0.output.weight"), None, None),
    ],
)  # fmt: skip
def test_embedding_and_head_are_told_by_name(
    names: tuple[str, ...], embedding: str | None, head: str | None
) -> None:
    assert (find_embedding(names), find_head(names)) == (embedding, head)


def test_a_mask_is_a_buffer_and_a_bias_is_not() -> None:
    assert is_buffer("transformer.h.0.attn.bias", (1, 1, 8, 8))
    assert not is_buffer("transformer.h.0.attn.bias", (8,))
    assert not is_buffer("model.layers.0.attn.c_attn.bias", (8,))
    assert is_buffer("model.layers.0.self_attn.rotary_emb.inv_freq", (4,))


@pytest.mark.parametrize("prefix", ["", "model.", "module.model.", "base_model.model.model."])
def test_a_prefix_more_or_less_is_the_same_model(prefix: str) -> None:
    body = ("embed_tokens.weight", "layers.0.mlp.up_proj.weight", "norm.weight")
    prefixed = tuple(f"model.{name}" for name in body)
    theirs = tuple(prefix + name for name in body)
    assert match_names(prefixed, theirs) == dict(zip(prefixed, theirs, strict=True))
    assert match_names(theirs, prefixed) == dict(zip(theirs, prefixed, strict=True))


def test_a_head_has_no_prefix_to_lose() -> None:
    bare = (LLAMA[0], *(name.removeprefix("model.") for name in LLAMA[1:]))
    assert match_names(LLAMA, bare) == dict(zip(LLAMA, bare, strict=True))


def test_another_family_matches_nothing() -> None:
    assert match_names(LLAMA, ("transformer.h.0.mlp.c_fc.weight", "transformer.wte.weight")) == {}
