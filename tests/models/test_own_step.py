"""Our own forward pass: transformers' numbers, for texts that join, leave and are cut."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from dppa_core.errors import NonFiniteWeights
from dppa_core.models import texts as texts_module
from dppa_core.models.own_step import OwnStep, knows
from dppa_core.models.parameter_views import fuse_weights
from dppa_core.models.texts import ForeignTexts, OwnTexts, Texts, shared_prefix, texts_of

pytestmark = pytest.mark.usefixtures("one_torch_thread")
SIZES = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
FAMILIES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "llama with llama3's rotation": lambda: LlamaForCausalLM(
        LlamaConfig(**SIZES, rope_parameters=ROTATION)
    ),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=None)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=16)),
}
ROTATION = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def model_of(family: str, dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(0)
    model = FAMILIES[family]().to(dtype).eval()
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    fuse_weights(model)
    return model


@pytest.fixture(scope="module")
def llama() -> Any:
    return model_of("llama")


def alone(model: Any, text: list[int]) -> torch.Tensor:
    """transformers' logits at every position."""
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=torch.tensor([text])).logits[0].float()
    return logits


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_are_those_of_transformers(family: str, dtype: torch.dtype) -> None:
    model = model_of(family, dtype)
    assert knows(model)
    texts, within = [[5, 9, 13], [7], [1, 2, 3, 4, 5]], 1e-4 if dtype == torch.float32 else 0.1
    native = texts_of(model)
    for text, logits in zip(texts, native.read(texts, [3, 1, 2]), strict=True):
        assert torch.allclose(logits, alone(model, text)[-len(logits) :], atol=within)
    for token in (11, 4, 30):
        stepped = native.step(torch.full((3,), token))
        for text, logits in zip(texts, stepped, strict=True):
            text.append(token)
            assert torch.allclose(logits, alone(model, text)[-1], atol=within)


@pytest.mark.parametrize("family", FAMILIES)
def test_fused_weights_are_the_models_own_and_change_with_them(family: str) -> None:
    model = model_of(family)
    before = OwnTexts(OwnStep(model)).read([[3, 4]], [1])[0]
    model.model.layers[1].self_attn.k_proj.weight.detach().mul_(2)
    model.model.layers[0].mlp.up_proj.weight.detach().add_(0.1)
    after = OwnTexts(OwnStep(model)).read([[3, 4]], [1])[0]
    first = model.model.layers[0].self_attn
    assert first.q_proj.weight.untyped_storage().data_ptr() == (
        first.v_proj.weight.untyped_storage().data_ptr()
    )
    assert not torch.equal(before, after)
    assert torch.allclose(after[0], alone(model, [3, 4])[-1], atol=1e-4)


def test_families_whose_layers_are_not_known_are_left_to_transformers() -> None:
    windows = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=8))
    assert not knows(windows)
    assert isinstance(texts_of(windows), ForeignTexts)


@pytest.fixture(params=["own", "foreign"])
def texts(request: pytest.FixtureRequest, llama: Any) -> Iterator[Texts]:
    yield OwnTexts(OwnStep(llama)) if request.param == "own" else ForeignTexts(llama)


TEXT = st.lists(st.integers(0, 59), min_size=1, max_size=20)
JOINING = st.lists(TEXT, min_size=1, max_size=3)
FRAME = st.lists(st.integers(0, 59), min_size=32, max_size=40)
MOVE = st.one_of(
    JOINING,
    st.builds(lambda frame, texts: [frame + text for text in texts], FRAME, JOINING),
    st.integers(0, 59),  # all are continued
    st.tuples(st.just("keep"), st.integers(0, 2**10)),
    st.tuples(st.just("cut"), st.integers(1, 6)),
)


def test_a_prefix_that_all_texts_share_is_read_once(
    llama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[tuple[int, ...]]()
    whole = OwnStep.read

    def noted(self: OwnStep, ids: torch.Tensor, *others: Any) -> torch.Tensor:
        read.append(tuple(ids.shape))
        return whole(self, ids, *others)

    monkeypatch.setattr(OwnStep, "read", noted)
    monkeypatch.setattr(texts_module, "MAX_READ_TOKENS", 6)
    prefix = list(range(32))
    texts = [[*prefix, 20, 21], [*prefix, 30], [*prefix, 20, 22, 23]]
    native = OwnTexts(OwnStep(llama))
    results = native.read(texts, [2, 1, 1])
    assert read == [(1, 32), (2, 2), (1, 3)], "in pieces of six tokens"
    for text, logits in zip(texts, results, strict=True):
        assert torch.allclose(logits, alone(llama, text)[-len(logits) :], atol=1e-4)
    for text, logits in zip(texts, native.step(torch.tensor([7, 8, 9])), strict=True):
        text.append(7 + texts.index(text))
        assert torch.allclose(logits, alone(llama, text)[-1], atol=1e-4)


def test_a_prefix_is_shared_only_where_that_saves_enough() -> None:
    prefix = list(range(32))
    texts = [[*prefix, 20], [*prefix, 30], [*prefix, 40]]
    assert shared_prefix(texts, [1, 1, 1]) == 32
    assert shared_prefix(texts, [1, 2, 1]) == 0, "31 tokens of two texts are too few"
    assert shared_prefix([text[1:] for text in texts], [1, 1, 1]) == 0
    assert shared_prefix(texts[:1], [1]) == 0


@pytest.mark.parametrize("native", [True, False])
@given(moves=st.lists(MOVE, max_size=12))
@settings(max_examples=40)
def test_texts_that_join_leave_and_are_cut_are_each_as_if_alone(
    llama: Any, native: bool, moves: list[Any]
) -> None:
    texts: Texts = OwnTexts(OwnStep(llama)) if native else ForeignTexts(llama)
    written: list[list[int]] = []
    for move in moves:
        logits: list[torch.Tensor] = []
        if isinstance(move, list):
            logits = [one[-1] for one in texts.read(move, [1] * len(move))]
            written += [list(text) for text in move]
            checked = written[-len(move) :]
        elif isinstance(move, int) and written:
            logits = list(texts.step(torch.full((len(written),), move)))
            checked = [[*text, move] for text in written]
            written = checked
        elif isinstance(move, tuple) and move[0] == "keep" and written:
            rows = [row for row in range(len(written)) if move[1] >> row & 1]
            texts.keep(rows)
            written = [written[row] for row in rows]
        elif isinstance(move, tuple) and move[0] == "cut" and written:
            written = [text[: max(1, len(text) - move[1])] for text in written]
            texts.cut([len(text) for text in written])
        for text, last in zip(checked if logits else [], logits, strict=True):
            assert torch.allclose(last, alone(llama, text)[-1], atol=1e-4)


def test_a_model_that_computes_no_numbers_is_refused(texts: Texts, llama: Any) -> None:
    norm = llama.model.norm.weight.detach()
    before = norm.clone()
    norm[0] = float("nan")
    try:
        with pytest.raises(NonFiniteWeights):
            texts.read([[1, 2]], [1])
    finally:
        norm.copy_(before)
