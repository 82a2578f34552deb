"""The compiled step against torch: the same logits for any batch; nothing waits for it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dppa_core.errors import NonFiniteWeights
from dppa_core.kernels import token_step
from dppa_core.models.own_step import OwnStep
from dppa_core.models.texts import OwnTexts
from tests.models.test_own_step import FAMILIES, SIZES, TEXT, alone, model_of

pytestmark = pytest.mark.usefixtures("one_torch_thread")
ODD = {"hidden_size": 36, "intermediate_size": 51, "vocab_size": 61, "num_attention_heads": 6}


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    code = "from dppa_core.kernels.token_step import compile_now; compile_now()"
    subprocess.run([sys.executable, "-c", code], check=True)
    token_step._is_ready._next = 0.0
    assert token_step.token_step() is not None


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {family: model_of(family) for family in FAMILIES}


def by_torch(model: Any) -> OwnTexts:
    """Texts whose step is never compiled."""
    step = OwnStep(model)
    step._addresses = None
    return OwnTexts(step)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sizes", [{}, ODD])
@pytest.mark.parametrize("texts", [1, 2, 4, 7])
def test_logits_are_those_of_torch_and_of_transformers(
    family: str, sizes: dict[str, int], texts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sizes.items():
        monkeypatch.setitem(SIZES, name, value)
    model = model_of(family)
    written = [[(3 * row + i) % 60 for i in range(1 + 5 * row)] for row in range(texts)]
    compiled, plain = OwnTexts(OwnStep(model)), by_torch(model)
    for reader in (compiled, plain):
        reader.read(written, [1] * texts)
    for token in (11, 4, 30):
        computed, expected = (way.step(torch.full((texts,), token)) for way in (compiled, plain))
        assert torch.allclose(computed, expected, atol=1e-4)
        for text, logits in zip(written, computed, strict=True):
            text.append(token)
            assert torch.allclose(logits, alone(model, text)[-1], atol=1e-4)


MOVE = st.one_of(
    st.lists(TEXT, min_size=1, max_size=5),  # texts join
    st.just("compiled"),  # all are continued
    st.just("torch"),
    st.tuples(st.just("keep"), st.integers(0, 2**10)),
    st.tuples(st.just("cut"), st.integers(1, 6)),
)


@given(family=st.sampled_from(sorted(FAMILIES)), moves=st.lists(MOVE, max_size=12))
@settings(max_examples=40)
def test_texts_go_on_with_the_same_tokens_whichever_step_takes_its_turn(
    models: dict[str, Any], family: str, moves: list[Any]
) -> None:
    model = models[family]
    step, plain = OwnStep(model), by_torch(model)
    mixed, addresses = OwnTexts(step), step._addresses
    last, lengths = torch.zeros(0, dtype=torch.long), list[int]()
    for move in moves:
        if isinstance(move, list):
            read = [torch.cat(texts.read(move, [1] * len(move))) for texts in (mixed, plain)]
            last = torch.cat([last, read[0].argmax(-1)])
            lengths += map(len, move)
        elif not lengths:
            continue
        elif isinstance(move, str):
            step._addresses = addresses if move == "compiled" else None
            logits, expected = mixed.step(last), plain.step(last)
            assert torch.allclose(logits, expected, atol=1e-4)
            assert torch.equal(logits.argmax(-1), expected.argmax(-1))
            last, lengths = logits.argmax(-1), [length + 1 for length in lengths]
        elif move[0] == "keep":
            rows = [row for row in range(len(lengths)) if move[1] >> row & 1]
            for texts in (mixed, plain):
                texts.keep(rows)
            last, lengths = last[rows], [lengths[row] for row in rows]
        else:
            lengths = [max(1, length - move[1]) for length in lengths]
            for texts in (mixed, plain):
                texts.cut(lengths)


def test_the_next_step_sees_weights_that_changed_in_place() -> None:
    model = model_of("qwen2")
    step = OwnStep(model)
    texts = OwnTexts(step)
    texts.read([[3, 4]], [1])
    before = texts.step(torch.tensor([5]))
    for layer in model.model.layers:
        layer.mlp.up_proj.weight.detach().mul_(1.5)
        layer.self_attn.v_proj.bias.detach().add_(0.2)
    texts = OwnTexts(step)
    texts.read([[3, 4]], [1])
    after = texts.step(torch.tensor([5]))
    assert not torch.allclose(before, after, atol=1e-2)
    assert torch.allclose(after[0], alone(model, [3, 4, 5])[-1], atol=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "place",
    [
        "norm.weight",
        "layers.0.mlp.up_proj.weight",
        "layers.0.mlp.gate_proj.weight",
        "layers.1.self_attn.q_proj.weight",
        "layers.1.self_attn.k_proj.weight",
        "embed_tokens",
    ],
)
def test_a_model_that_computes_no_numbers_is_refused(value: float, place: str) -> None:
    model = model_of("llama")
    texts = OwnTexts(OwnStep(model))
    texts.read([[1, 2]], [1])
    parameters = dict(model.model.named_parameters())
    first = next(name for name in parameters if name.startswith(place))
    parameters[first].detach()[3 if "embed" in place else ...] = value
    with pytest.raises(NonFiniteWeights):
        texts.step(torch.tensor([3]))


def test_a_token_beyond_the_vocabulary_is_refused(models: dict[str, Any]) -> None:
    texts = OwnTexts(OwnStep(models["llama"]))
    texts.read([[1, 2]], [1])
    with pytest.raises(IndexError):
        texts.step(torch.tensor([60]))


def test_what_the_compiled_step_does_not_know_is_left_to_torch() -> None:
    assert OwnStep(model_of("llama", torch.bfloat16))._addresses is None
    model = model_of("llama")
    model.lm_head.bias = torch.nn.Parameter(torch.zeros(60))
    assert OwnStep(model)._addresses is None


def test_it_was_compiled_by_another_process() -> None:
    assert token_step._compiled.signatures and not token_step._compiled._can_compile
    assert not token_step._compiled.stats.cache_misses


def test_until_it_is_compiled_torch_answers_and_nobody_waits(tmp_path: Path) -> None:
    code = (
        "from dppa_core.kernels import token_step as one\n"
        "assert one.token_step() is None and not one._compiled.signatures\n"
    )
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
