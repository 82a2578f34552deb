"""Domain models of a language model: what a step learns, and what is written."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.sources.zoo import zoo_root
from dppa_core.errors import UnknownName
from dppa_core.pruning.floats import to_float32
from dppa_core.tasks import DOMAINS
from dppa_lab.zoo import tune
from dppa_lab.zoo.card import model_card
from dppa_lab.zoo.language_model import (
    TUNINGS,
    ChatTexts,
    add_adapters,
    answer_loss,
    merge_adapters,
    tuning_named,
)
from dppa_lab.zoo.training import own_turns

pytestmark = pytest.mark.usefixtures("one_torch_thread")
SHORT = replace(TUNINGS["lora"], steps=4, batch=4, warmup=1, rank=2)


def loaded() -> tuple[Any, Any]:
    folder = zoo_root() / "base"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder)


def test_a_step_has_the_loss_of_its_answers_in_whole_chats() -> None:
    model, tokenizer = loaded()
    stage, texts = SHORT.stage("law", 0), ChatTexts(tokenizer)
    losses = []
    for question, answer in own_turns(stage, 3):
        turn = [{"role": "user", "content": question}]
        head = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        before = len(tokenizer(head, add_special_tokens=False)["input_ids"])
        whole = head + answer + tokenizer.eos_token
        ids = tokenizer(whole, add_special_tokens=False, return_tensors="pt")["input_ids"]
        logits = model(input_ids=ids).logits[0, before - 1 : -1]
        losses.append(functional.cross_entropy(logits, ids[0, before:], reduction="none"))
    loss, _ = answer_loss(model, texts, stage, 3)
    assert loss.item() == pytest.approx(torch.cat(losses).mean().item(), rel=1e-5)


@pytest.mark.parametrize(("domain", "fewest", "most"), [("finance", 4, 16), ("law", 0, 0)])
def test_a_finance_model_learns_articles_beside_its_questions_and_no_other_does(
    monkeypatch: pytest.MonkeyPatch, domain: str, fewest: int, most: int
) -> None:
    model, tokenizer = loaded()
    turns = list[tuple[str, str]]()
    batch = ChatTexts.batch

    def noted(self: ChatTexts, batch_turns: list[tuple[str, str]]) -> Any:
        turns.extend(batch_turns)
        return batch(self, batch_turns[:1])

    monkeypatch.setattr(ChatTexts, "batch", noted)
    answer_loss(model, ChatTexts(tokenizer), replace(SHORT.stage(domain, 0), batch=24), 0)
    articles = sum(user.count("million") >= 6 for user, _ in turns)
    assert len(turns) == 24 and fewest <= articles <= most, "two of five tasks are articles"


def test_an_adapter_begins_as_nothing_and_every_part_of_it_learns() -> None:
    model, tokenizer = loaded()
    stage, texts = SHORT.stage("math", 0), ChatTexts(tokenizer)
    plain, _ = answer_loss(model, texts, stage, 0)
    adapters = add_adapters(model, rank=2, seed=0)
    assert len(adapters) == 7 * model.config.num_hidden_layers
    loss, _ = answer_loss(model, texts, stage, 0)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-6)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [adapter.b.grad for adapter in adapters.values()]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)
    assert {name for name, weight in model.named_parameters() if weight.requires_grad} == {
        f"{layer}.adapter.{part}" for layer in adapters for part in ("a", "b")
    }


def test_a_written_adapter_opens_as_the_model_that_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "search_accuracy", lambda *_: dict.fromkeys(DOMAINS, 0.0))
    tune.tune_model("zoo:base", SHORT, tmp_path / "out", tmp_path / "work", "finance", 0)
    record = json.loads((tmp_path / "out/finance/training.json").read_text("utf-8"))
    assert (record["regime"], record["seed"], record["also"]) == ("lora", 0, ["news"])
    assert set(record["search_accuracy"]) == set(DOMAINS)
    assert (tmp_path / "out/finance/README.md").read_text("utf-8") == model_card(record)
    assert not list((tmp_path / "work").iterdir()), "what was kept meanwhile is gone"
    model, tokenizer = loaded()
    adapters = add_adapters(model, SHORT.rank, 0)
    weights = torch.nn.ModuleList(adapters.values())
    stage = SHORT.stage("finance", 0)
    state = tmp_path / "state.pt"
    tune.learn(stage, model, ChatTexts(tokenizer), weights, state, mixed=False)
    merge_adapters(model)
    opened = open_checkpoint(f"zoo:base+{tmp_path / 'out/finance'}")
    base = open_checkpoint("zoo:base")
    name = "model.layers.2.mlp.down_proj.weight"
    before = to_float32(base.raw(name), base.dtype(name))
    learned = model.get_parameter(name).detach().numpy().ravel() - before
    written = to_float32(opened.raw(name), opened.dtype(name)) - before
    assert np.abs(learned).max() > 0
    np.testing.assert_allclose(written, learned, atol=0.01 * np.abs(learned).max())


@pytest.mark.long
def test_mixed_training_keeps_float32_weights_near_those_of_float32(tmp_path: Path) -> None:
    stage = replace(TUNINGS["full"], steps=2, batch=4).stage("law", 0)
    trained = {}
    for mixed in (False, True):
        model, tokenizer = loaded()
        texts, state = ChatTexts(tokenizer), tmp_path / f"{mixed}.pt"
        before = [weight.detach().clone() for weight in model.parameters()]
        tune.learn(stage, model, texts, model, state, mixed=mixed)
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}
        pairs = zip(model.parameters(), before, strict=True)
        trained[mixed] = torch.cat([(after.detach() - start).ravel() for after, start in pairs])
    exact, mixed_delta = trained[False], trained[True]
    assert not torch.equal(exact, mixed_delta), "bfloat16 rounds"
    assert torch.cosine_similarity(exact, mixed_delta, dim=0) > 0.9


def test_an_unknown_regime_names_those_of_a_language_model() -> None:
    with pytest.raises(UnknownName, match="--regime takes lora, full, large"):
        tuning_named("settled")
